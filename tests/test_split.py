"""One image alone in several lanes (native/src/split.cpp): every damage reads as the plain path reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jpegfreq import JpegError, read_coefficients, read_coefficients_batch
from tests.edits import find
from tests.pictures import picture
from tests.test_exact import digest


def files() -> Iterator[bytes]:
    """Scans of several windows: samplings, qualities, Huffman tables of their own, restarts; whole and damaged."""
    rng = np.random.default_rng(7)
    for subsampling in (0, 1, 2):
        for quality, optimize, restart in ((40, True, 0), (90, False, 0), (97, True, 0), (90, True, 3)):
            options = {"quality": quality, "subsampling": subsampling, "optimize": optimize}
            whole = picture(700, 530, seed=quality, restart_marker_rows=restart, **options)
            yield whole
            sos = find(whole, "SOS")
            data = sos.offset + len(sos.raw)
            for _ in range(12):
                damaged = bytearray(whole)
                for place in rng.integers(data, len(whole) - 2, rng.integers(1, 4)):
                    damaged[place] ^= 1 << int(rng.integers(8))
                yield bytes(damaged)
            yield whole[: int(rng.integers(data, len(whole)))]
    yield picture(900, 700, mode="L", quality=95)
    yield picture(700, 530, mode="CMYK", quality=90)


def read(data: bytes) -> str:
    try:
        return digest(read_coefficients(data, damage="keep"))
    except JpegError as error:
        return digest(error)


_DIGESTS = """
from tests.test_split import files, read
from jpegfreq._native import instruction_set
assert instruction_set() == "generic"
print("\\n".join(map(read, files())))
"""


@pytest.fixture(scope="module")
def plain() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _DIGESTS],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "JPEGFREQ_INSTRUCTION_SET": "generic"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_an_image_alone_in_lanes_reads_as_the_plain_path_reads_it(plain: list[str]) -> None:
    assert [read(data) for data in files()] == plain


def test_damaged_images_in_a_batch_read_as_the_plain_path_reads_them(plain: list[str]) -> None:
    images = list(files())
    results = read_coefficients_batch(images, damage="keep", errors="return", threads=2)
    assert [digest(result).split(" ")[0] for result in results] == [line.split(" ")[0] for line in plain]
