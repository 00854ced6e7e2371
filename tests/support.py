"""Shared data, tools of the system, and how a test ends that lacks them."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from jpegfreq import Coefficients
from jpegfreq._native import instruction_set

_PROJECT = Path(__file__).parents[1]


def unavailable(reason: str) -> NoReturn:
    """Skip the running test with a reason; in CI, where nothing may be missing, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def data_files(folder: str) -> list[Path]:
    """List the JPEG files below a folder of the shared data (../shared/data next to the project, or JPEGFREQ_DATA)."""
    root = Path(os.environ.get("JPEGFREQ_DATA", _PROJECT.parent / "shared" / "data"))
    files = _files_below(root / folder)
    if not files:
        unavailable(f"the shared data have no files in {folder}")
    return files


@cache
def _files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))


def instruction_sets() -> list[str]:
    """List what JPEGFREQ_INSTRUCTION_SET can choose on this machine, the plain path first, the present choice last."""
    every = ["plain", "generic", *(["neon"] if platform.machine() in ("aarch64", "arm64") else ["avx2", "avx512"])]
    return every[: every.index(instruction_set()) + 1]


def run_on(instruction_set: str, *arguments: str | Path) -> str:
    """Run Python with these arguments, in the project, on an instruction set; return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=_PROJECT,
        env={**os.environ, "JPEGFREQ_INSTRUCTION_SET": instruction_set},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tool(name: str) -> str:
    """Find a program of libjpeg-turbo-progs."""
    path = shutil.which(name)
    if path is None:
        unavailable(f"{name} is not installed (libjpeg-turbo-progs)")
    return path


def same_coefficients(a: Coefficients, b: Coefficients) -> bool:
    """Compare headers, planes and quantization tables."""
    return (
        a.header == b.header
        and all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))
        and all(np.array_equal(x, y) for x, y in zip(a.quantization_tables, b.quantization_tables, strict=True))
    )


@contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
