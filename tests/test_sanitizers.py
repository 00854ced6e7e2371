"""The fuzz targets, once over every hostile and odd file, built with AddressSanitizer, UBSan and LeakSanitizer."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import edits
from tests.images import make_jpeg
from tests.samples import PROGRESSIVE, small_image
from tests.support import data_files, instruction_sets, unavailable
from tests.writer import WrittenScan, write

_PROJECT = Path(__file__).parents[1]
_BUILD = _PROJECT / "build" / "sanitizers"
TARGETS = ["header", "coefficients", "batch", "resample", "write"]
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


@dataclass(frozen=True)
class Run:
    """What a target said of the files it ran over."""

    checksum: str  # of all coefficients
    sums: list[float]  # of tensors' values, by dtype, in parts of the sums of their magnitudes
    slowest_seconds: float


def run_over(target: Path, files: list[Path], *emulator: str, instruction_set: str = "best") -> Run:
    done = subprocess.run(
        [*emulator, target],
        input="".join(f"{path}\n" for path in files),
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "JPEGFREQ_INSTRUCTION_SET": instruction_set},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    match = re.match(r"(\d+) files, checksum (\w+), the slowest ([\d.]+) s", done.stdout)
    assert match, done.stdout
    assert int(match[1]) == len(files)
    sums = re.findall(r"^(\S+) of (\S+)$", done.stdout, re.MULTILINE)
    return Run(match[2], [float(a) / (float(b) or 1) for a, b in sums], float(match[3]))


def assert_close(one: list[float], other: list[float]) -> None:
    """Instruction sets round sums of products differently, and all types but float32 the results."""
    for a, b, tolerance in zip(one, other, (1e-6, 1e-5, 1e-4, 1e-4), strict=True):
        assert abs(a - b) < tolerance, (one, other)


@pytest.mark.parametrize("target", TARGETS)
def test_no_file_makes_the_sanitizers_speak(target: str, targets: Path) -> None:
    files = data_files("hostile") + data_files("odd")
    runs = [run_over(targets / f"fuzz_{target}", files, instruction_set=name) for name in instruction_sets()]
    assert len({run.checksum for run in runs}) == 1
    assert max(run.slowest_seconds for run in runs) < SECONDS_A_FILE


def what_fuzzing_found() -> dict[str, bytes]:
    """The inputs of bugs that are no more, by name."""
    progressive_photo = make_jpeg(progressive=True)
    progressive = edits.set_scan(PROGRESSIVE, selectors=[(1, 0, 13), (2, 0, 13)], Se=2)
    # Luma has the end of block as its only AC code, so the bit 1 behind its DC code is none. The rest is sound.
    one_code = edits.replace_segment(make_jpeg(8, 8, subsampling=0), "DHT", index=1, body=b"\x10\x01" + bytes(16))
    twice = write(small_image(0, (WrittenScan((2,)), WrittenScan((0, 1, 2))), ((2, 2), (1, 1), (1, 1))), 1)
    return {
        "a progressive scan with Se > 0 names an AC table that there is not": progressive,
        "a scan adds to a component, brings others and ends early": edits.cut_scan(twice, 60, index=1),
        "no code matches in a progressive refinement": edits.replace_scan_data(progressive_photo, b"\xff\x00" * 99, 5),
        "no code matches behind a DC code of a batch's image": edits.replace_scan_data(one_code, b"\x2e\x07"),
        "other Huffman tables stand behind a batch's image": edits.insert_segment(
            make_jpeg(), "DHT", b"\x11\x01" + bytes(15) + b"\x01", before="EOI"
        ),
        "more than 8 bits of a batch's image match no code": edits.replace_scan_data(make_jpeg(), b"\xff\x00" * 2000),
    }


@pytest.mark.parametrize("name", what_fuzzing_found())
def test_what_fuzzing_found_stays_mended(name: str, targets: Path, tmp_path: Path) -> None:
    file = tmp_path / "found.jpg"
    file.write_bytes(what_fuzzing_found()[name])
    for target in TARGETS:
        for instruction_set in instruction_sets():
            run_over(targets / f"fuzz_{target}", [file], instruction_set=instruction_set)


@pytest.mark.long
def test_the_core_compiles_for_aarch64_and_reads_the_same(targets: Path, tmp_path: Path) -> None:
    """By a cross compiler, and where qemu is."""
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
    for target in TARGETS:
        here = run_over(targets / f"fuzz_{target}", data_files("odd"))
        for instruction_set in ("best", "generic"):
            there = run_over(tmp_path / f"fuzz_{target}", data_files("odd"), qemu, instruction_set=instruction_set)
            assert there.checksum == here.checksum
            assert_close(there.sums, here.sums)
