"""Restart intervals outside a crop are not read; what a crop gets is the same as if they were.

Of such an interval only its markers are checked: damage within it goes unnoticed, like damage below a crop. Where the
markers are irregular, everything down to the crop's bottom is read and checked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from jpegfreq import read_batch, read_coefficients, resample
from jpegfreq.crops import Box
from tests import edits
from tests.generate import random_image
from tests.support import instruction_sets, run_on
from tests.writer import WrittenScan, write

HEIGHT, WIDTH = 72, 104
SAMPLINGS = {
    "4:2:0": ((2, 2), (1, 1), (1, 1)),  # 5 x 7 MCUs
    "4:4:4": ((1, 1), (1, 1), (1, 1)),  # 9 x 13
    "4:1:1": ((4, 1), (1, 1), (1, 1)),  # 9 x 4
    "grey": ((1, 1),),  # 9 x 13
}
INTERVALS = (1, 3, 4, 7, 13, 14, 26, 200)  # whole rows, several of them, parts of them, neither, and all
BOXES = (
    (0, 0, HEIGHT, WIDTH),
    (0, 0, 9, WIDTH),
    (33, 0, 14, WIDTH),
    (34, 50, 3, 5),
    (60, 90, 12, 14),
    (71, 103, 1, 1),
    (20, 0, 40, 10),
)
SIZE = (16, 24)
Chroma = Literal["fancy", "direct"]
ROW = 7  # MCUs of a row at 4:2:0


@cache
def sample(sampling: str, interval: int) -> bytes:
    image = random_image(11, sof=0, height=HEIGHT, width=WIDTH, sampling=SAMPLINGS[sampling])
    components = tuple(range(len(SAMPLINGS[sampling])))
    return write(dataclasses.replace(image, scans=(WrittenScan(components, restart_interval=interval),)), 6)


def tensor_and_error(data: bytes, box: Box, chroma: Chroma) -> tuple[npt.NDArray[np.generic], str]:
    """Read one crop with damage kept."""
    [tensor], [error] = read_batch([data], size=SIZE, boxes=[box], chroma=chroma, damage="keep", errors="return")
    return tensor, str(error or "")


def with_no_code_in(data: bytes, n: int) -> bytes:
    """Fill interval `n` with bits that are no Huffman code; the markers stay."""
    raw = edits.find(data, "scan data").raw
    ends = [0, *(at + 2 for at in edits.restart_offsets(raw)), len(raw) + 2]
    damaged = raw[: ends[n]] + b"\xff\x00" * 20 + raw[ends[n + 1] - 2 :]
    return edits.replace_scan_data(data, damaged)


def insert(data: bytes, n: int, junk: bytes) -> bytes:
    """Insert bytes before the n-th restart marker."""
    raw = edits.find(data, "scan data").raw
    at = edits.restart_offsets(raw)[n]
    return edits.replace_scan_data(data, raw[:at] + junk + raw[at:])


def irregular(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the file with markers that are missing, out of order, too many or of another kind, at every place."""
    count = len(edits.restart_offsets(edits.find(data, "scan data").raw))
    for n in range(count):
        yield f"marker {n} is missing", edits.drop_restart_marker(data, n)
        yield f"interval {n} is missing", edits.drop_restart_interval(data, n)
        for number in range(8):
            yield f"marker {n} says {number}", edits.renumber_restart_marker(data, n, number)
        yield f"marker {n} comes twice", insert(data, n, b"\xff" + bytes([0xD0 + n % 8]))
        yield f"a comment before marker {n}", insert(data, n, b"\xff\xfe\x00\x04ab")
        yield f"a reserved marker before marker {n}", insert(data, n, b"\x00\xff\x02\x55")
        yield f"a fill byte before marker {n}", insert(data, n, b"\xff")
        yield f"the end of the image before marker {n}", insert(data, n, b"\xff\xd9")
    for n in range(count - 1):
        yield f"markers {n} and {n + 1} are exchanged", edits.swap_restart_markers(data, n)
    scan = edits.find(data, "scan data").raw
    for at in edits.restart_offsets(scan):
        for more in (-1, 0, 1, 2):
            yield f"the data end {more} bytes after byte {at}", edits.cut_scan(data, at + more)


@pytest.mark.parametrize("chroma", ["fancy", "direct"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_crop_of_a_file_with_restart_markers_is_that_of_its_coefficients(sampling: str, chroma: Chroma) -> None:
    images = [sample(sampling, interval) for interval in INTERVALS]
    whole = [read_coefficients(image) for image in images]
    for box in BOXES:
        got = read_batch(images, size=SIZE, boxes=[box] * len(images), chroma=chroma)
        for tensor, coefficients in zip(got, whole, strict=True):
            np.testing.assert_array_equal(tensor, resample(coefficients, box, SIZE, chroma=chroma))


def test_damage_in_an_interval_that_is_not_read_changes_nothing() -> None:
    data = sample("4:2:0", ROW)
    box = (32, 0, 16, WIDTH)  # with direct chroma, the third row of MCUs and no other
    clean = tensor_and_error(data, box, "direct")
    assert clean[1] == ""
    for n in (0, 1, 3, 4):
        tensor, error = tensor_and_error(with_no_code_in(data, n), box, "direct")
        np.testing.assert_array_equal(tensor, clean[0])
        assert error == ""


def test_damage_in_an_interval_that_is_read_is_the_error_of_the_whole_file() -> None:
    data = with_no_code_in(sample("4:2:0", ROW), 2)
    damage = read_coefficients(data, damage="keep").damage
    _, error = tensor_and_error(data, (32, 0, 16, WIDTH), "direct")
    assert error == f"image 0: {damage}"
    # What lies above the crop is then read and checked too.
    twice = with_no_code_in(data, 0)
    damage = read_coefficients(twice, damage="keep").damage
    assert tensor_and_error(twice, (32, 0, 16, WIDTH), "direct")[1] == f"image 0: {damage}"


def test_intervals_left_and_right_of_a_crop_are_not_read() -> None:
    data = sample("4:2:0", 1)
    box = (32, 32, 16, 16)  # the MCU in row 2, column 2
    clean, _ = tensor_and_error(data, box, "direct")
    for n in (2 * ROW + 1, 2 * ROW + 3):
        tensor, error = tensor_and_error(with_no_code_in(data, n), box, "direct")
        np.testing.assert_array_equal(tensor, clean)
        assert error == ""
    assert tensor_and_error(with_no_code_in(data, 2 * ROW + 2), box, "direct")[1] != ""


@pytest.mark.parametrize("interval", [3, ROW])
def test_irregular_markers_give_what_they_give_without_leaving_anything_out(interval: int) -> None:
    """Compare every box with the whole file's coefficients, and its error with that of all down to the box's bottom."""
    for what, data in irregular(sample("4:2:0", interval)):
        kept = read_coefficients(data, damage="keep")
        for box in ((16, 0, 16, WIDTH), (33, 40, 14, 30), (56, 90, 16, 14)):
            tensor, error = tensor_and_error(data, box, "fancy")
            np.testing.assert_array_equal(tensor, resample(kept, box, SIZE), err_msg=what)
            _, error_of_all = tensor_and_error(data, (0, 0, box[0] + box[2], WIDTH), "fancy")
            assert error == error_of_all, what


@pytest.mark.parametrize("instruction_set", instruction_sets()[:-1])
def test_other_instruction_sets_leave_the_same_intervals_out(instruction_set: str) -> None:
    run_on(instruction_set, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "not instruction_sets")
