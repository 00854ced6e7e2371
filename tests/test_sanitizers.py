"""The fuzz targets, once over every hostile and odd file, built with AddressSanitizer, UBSan and LeakSanitizer."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import data_files, unavailable

_PROJECT = Path(__file__).parents[1]
_BUILD = _PROJECT / "build" / "sanitizers"
SECONDS_A_FILE = 5.0  # of a sanitizer's build, a few decodes of the file, on a loaded machine


def run(command: list[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, **environment}, cwd=_PROJECT
    )


@pytest.fixture(scope="module")
def targets() -> Path:
    """The folder of the built targets; built once, by the first of the test processes that comes here."""
    compiler = shutil.which("clang++") or shutil.which("g++")
    if compiler is None:
        unavailable("neither clang++ nor g++ is here")
    cmake: list[str | Path] = [sys.executable, "-m", "cmake"]
    _BUILD.mkdir(parents=True, exist_ok=True)
    with (_BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        configured = run([*cmake, "-S", "tests/fuzz", "-B", _BUILD, f"-DCMAKE_CXX_COMPILER={compiler}"])
        if configured.returncode != 0:
            unavailable(f"{compiler} does not build with sanitizers: {configured.stderr[-500:]}")
        built = run([*cmake, "--build", _BUILD, "-j", "2"])
        assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return _BUILD


@pytest.mark.parametrize("instruction_set", ["best", "generic"])
@pytest.mark.parametrize("target", ["header", "coefficients", "batch"])
def test_no_file_makes_the_sanitizers_speak(target: str, instruction_set: str, targets: Path) -> None:
    files = data_files("hostile") + data_files("odd")
    done = subprocess.run(
        [targets / f"fuzz_{target}"],
        input="".join(f"{path}\n" for path in files),
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "JPEGFREQ_INSTRUCTION_SET": instruction_set},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    match = re.match(r"(\d+) files, the slowest ([\d.]+) s", done.stdout)
    assert match, done.stdout
    assert int(match[1]) == len(files)
    assert float(match[2]) < SECONDS_A_FILE, done.stdout


@pytest.mark.long
def test_the_core_compiles_for_aarch64_and_reads_the_same(tmp_path: Path) -> None:
    """By a cross compiler; where qemu is, the plain path there gives what this machine's does."""
    if platform.machine() == "aarch64":
        unavailable("this is aarch64: every other test says so")
    compiler = shutil.which("aarch64-linux-gnu-g++")
    if compiler is None:
        unavailable("no aarch64-linux-gnu-g++ (g++-aarch64-linux-gnu)")
    cmake: list[str | Path] = [sys.executable, "-m", "cmake"]
    configured = run(
        [*cmake, "-S", "tests/fuzz", "-B", tmp_path, f"-DCMAKE_CXX_COMPILER={compiler}", "-DSANITIZERS="]
        + ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", "-DCMAKE_EXE_LINKER_FLAGS=-static"]
    )
    assert configured.returncode == 0, configured.stderr
    built = run([*cmake, "--build", tmp_path, "-j", "2"])
    assert built.returncode == 0, built.stderr[-3000:]
    qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if qemu is None:
        unavailable("it compiles; running it needs qemu-user")
    files = data_files("odd")
    for target in ("header", "coefficients", "batch"):
        done = subprocess.run(
            [qemu, tmp_path / f"fuzz_{target}"],
            input="".join(f"{path}\n" for path in files),
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
