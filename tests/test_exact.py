"""Every file of the shared data reads as libjpeg-turbo reads it, bit for bit.

libjpeg decides which files are good: if it reads one without a warning, we read the same coefficients, tables, size
and colour. If it warns or refuses, we raise or report damage. tests/agreement.py lists the exceptions as rules with
reasons; none names a file.
"""

from __future__ import annotations

import contextlib
import io
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from jpegfreq import JpegError, read_coefficients, read_header
from tests.agreement import disagreement
from tests.digests import batch_digests, digests_on, single_digests
from tests.oracle import Oracle
from tests.support import data_files

FOLDERS = ["photos", "imagenette", "flowers", "coco", "large", "odd", "hostile"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_reads_as_libjpeg_reads_it(folder: str, oracle: Oracle) -> None:
    failures, clean = [], 0
    for path in data_files(folder):
        data = path.read_bytes()
        theirs = oracle.read(data)
        if theirs.over_limits:
            continue
        clean += theirs.clean
        if (problem := disagreement(data, theirs)) is not None:
            failures.append(f"{path.name}: {problem}")
    assert not failures, "\n".join([f"{len(failures)} files", *failures[:20]])
    assert clean > 0


@pytest.mark.parametrize("folder", FOLDERS)
def test_colour_kind_is_libjpegs(folder: str, oracle: Oracle) -> None:
    differ = []
    for path in data_files(folder):
        data = path.read_bytes()
        theirs = oracle.read(data, max_blocks=0)  # reads only the header
        if not theirs.header_read:
            continue
        try:
            header = read_header(data)
        except JpegError:
            continue
        if header.color.lower() != theirs.color:
            differ.append((path.name, header.color, theirs.color))
    assert not differ


def test_system_libjpeg_agrees_with_the_better_one(oracles: list[Oracle]) -> None:
    """Two versions of libjpeg-turbo read the 8-bit files alike, so the tests do not depend on one build."""
    if len(oracles) < 2:
        pytest.skip("only one libjpeg here")
    for path in data_files("odd"):
        data = path.read_bytes()
        one, other = (oracle.read(data, max_blocks=1 << 18) for oracle in (oracles[0], oracles[-1]))
        if one.clean and other.clean:
            for a, b in zip(one.components, other.components, strict=True):
                assert np.array_equal(a.plane, b.plane), path.name  # type: ignore[arg-type]
                assert np.array_equal(a.quantization_table, b.quantization_table), path.name


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of damaged EXIF segments
@pytest.mark.parametrize("folder", FOLDERS)
def test_exif_orientation_is_pillows(folder: str) -> None:
    image_module = pytest.importorskip("PIL.Image")
    differ = []
    for path in data_files(folder):
        data = path.read_bytes()
        try:
            header = read_header(data)
            with image_module.open(io.BytesIO(data)) as image:
                exif = image_module.Exif()  # the EXIF segment alone; getexif() would also read XMP
                exif.load(image.info.get("exif"))
                theirs = exif.get(0x0112, 1)
        except Exception:  # not both can open the file
            continue
        if header.orientation != (theirs if theirs in range(1, 9) else 1):
            differ.append((path.name, header.orientation, theirs))
    assert not differ


@pytest.mark.parametrize("folder", ["odd", "hostile"])
def test_no_file_costs_a_second(folder: str) -> None:
    slow = []
    for path in data_files(folder):
        data = path.read_bytes()
        start = time.thread_time()
        with contextlib.suppress(JpegError):
            read_coefficients(data, damage="keep")
        if (seconds := time.thread_time() - start) > 1:
            slow.append((path.name, seconds))
    assert not slow


# ------------------------------------------------------------------------- all ways to the same coefficients


@cache
def digests(folder: str) -> list[str]:
    """Hash every file of a folder, once for all tests."""
    return single_digests(data_files(folder))


def assert_same(paths: list[Path], one: list[str], other: list[str]) -> None:
    differ = [f"{p.name}: {a} / {b}" for p, a, b in zip(paths, one, other, strict=True) if a != b]
    assert not differ, "\n".join([f"{len(differ)} files", *differ[:20]])


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("threads", [1, 2])
def test_batch_reads_what_single_calls_read(folder: str, threads: int) -> None:
    paths = data_files(folder)
    assert_same(paths, digests(folder), batch_digests(paths, threads))


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("instruction_set", ["generic", "plain"])
def test_every_instruction_set_reads_the_same(instruction_set: str, folder: str) -> None:
    paths = data_files(folder)
    single, batch = digests_on(instruction_set, paths)
    fast = digests(folder)
    assert_same(paths, fast, single)
    assert_same(paths, fast, batch)
