"""Restart markers: what libjpeg reads with a warning is read, and damage costs only the intervals that it hits."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from jpegfreq import (
    Coefficients,
    JpegError,
    TruncatedJpegError,
    read_batch,
    read_coefficients,
    read_coefficients_batch,
    resample,
)
from jpegfreq.structure import read_structure
from tests import edits
from tests.agreement import equal
from tests.generate import random_image
from tests.oracle import Oracle
from tests.writer import WrittenImage, WrittenScan, write

SAMPLING = ((2, 2), (1, 1), (1, 1))
HEIGHT, WIDTH = 72, 104  # 5 x 7 MCUs
INTERVAL = 3  # MCUs: 12 intervals, so that the numbers of the markers come round
SEQUENTIAL = (WrittenScan((0, 1, 2), restart_interval=INTERVAL),)
PROGRESSIVE = (
    WrittenScan((0, 1, 2), 0, 0, 0, 1, restart_interval=INTERVAL),
    *(WrittenScan((i,), 1, 5, 0, 2, restart_interval=INTERVAL) for i in range(3)),
    *(WrittenScan((i,), 6, 63, 0, 2, restart_interval=INTERVAL) for i in range(3)),
    WrittenScan((0, 1, 2), 0, 0, 1, 0, restart_interval=INTERVAL),
    *(WrittenScan((i,), 1, 63, 2, 1, restart_interval=INTERVAL) for i in range(3)),
    *(WrittenScan((i,), 1, 63, 1, 0, restart_interval=INTERVAL) for i in range(3)),
)
PROCESSES = {"baseline": 0, "progressive": 2, "arithmetic": 9, "arithmetic progressive": 10}
JUNK = {"bytes": b"\x00\x12\x34", "a stuffed FF": b"\x00\xff\x00", "a reserved marker": b"\x00\x00\xff\x02\x55"}


def sample(process: str) -> tuple[WrittenImage, bytes]:
    sof = PROCESSES[process]
    image = random_image(11, sof=sof, height=HEIGHT, width=WIDTH, sampling=SAMPLING)
    scans = PROGRESSIVE if sof in (2, 10) else SEQUENTIAL
    image = dataclasses.replace(image, scans=scans)
    return image, write(image, 6)


def scan_count(process: str) -> int:
    return len(PROGRESSIVE) if "progressive" in process else 1


def edit_interval(data: bytes, n: int, edit: bytes | None, *, scan: int = 0) -> bytes:
    """The file with other data in interval `n` of a scan; None halves them."""
    raw = edits.find(data, "scan data", scan).raw
    marks = edits.restart_offsets(raw)
    begin = marks[n - 1] + 2 if n else 0
    end = marks[n] if n < len(marks) else len(raw)
    new = raw[begin : begin + (end - begin) // 2] if edit is None else edit
    return edits.replace_scan_data(data, raw[:begin] + new + raw[end:], scan)


def insert_before_restart(data: bytes, n: int, junk: bytes, *, scan: int = 0) -> bytes:
    raw = edits.find(data, "scan data", scan).raw
    at = edits.restart_offsets(raw)[n]
    return edits.replace_scan_data(data, raw[:at] + junk + raw[at:], scan)


def assert_planes(got: Coefficients, expected: list[npt.NDArray[np.int16]]) -> None:
    for plane, truth in zip(got.planes, expected, strict=True):
        np.testing.assert_array_equal(plane, truth)


def interval_of_blocks(component: int, *, interleaved: bool) -> npt.NDArray[np.intp]:
    """The interval of each block: [blocks_high, blocks_wide]."""
    high, wide = (9, 13) if component == 0 else (5, 7)
    if not interleaved:
        return np.arange(high * wide).reshape(high, wide) // INTERVAL
    factor = 2 if component == 0 else 1
    rows, columns = np.mgrid[:high, :wide] // factor
    return (rows * 7 + columns) // INTERVAL


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("process", PROCESSES)
def test_stray_bytes_before_a_restart_marker_are_skipped_as_libjpeg_does(
    process: str, junk: str, oracle: Oracle
) -> None:
    image, data = sample(process)
    for scan in range(scan_count(process)):
        for n in (0, 5):
            edited = insert_before_restart(data, n, JUNK[junk], scan=scan)
            theirs = oracle.read(edited)
            assert theirs.error is None
            if "arithmetic" not in process:  # there libjpeg may have read on already, without a word
                assert theirs.warnings
            ours = read_coefficients(edited)
            assert_planes(ours, image.expected_planes())
            assert equal(ours, theirs)
            assert ours.damages == ()
            assert len(read_structure(edited).scans) == scan_count(process)


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("process", PROCESSES)
def test_one_misnumbered_restart_marker_loses_nothing(process: str, number: int) -> None:
    image, data = sample(process)
    for scan in range(scan_count(process)):
        edited = edits.renumber_restart_marker(data, 4, number, index=scan)
        assert_planes(read_coefficients(edited), image.expected_planes())


def test_libjpeg_too_reads_a_marker_whose_number_is_far_off(oracle: Oracle) -> None:
    _, data = sample("baseline")
    edited = edits.renumber_restart_marker(data, 4, 0)
    assert equal(read_coefficients(edited), oracle.read(edited))


@pytest.mark.parametrize("n", [0, 1, 7, 11])
@pytest.mark.parametrize("fault", ["cut short", "no code", "marker"])
def test_a_damaged_interval_costs_its_own_blocks_only(n: int, fault: str) -> None:
    image, data = sample("baseline")
    inside = {"cut short": None, "no code": b"\xff\x00" * 20, "marker": b"\xff\xe3" + bytes(9)}[fault]
    data = edit_interval(data, n, inside)
    with pytest.raises(JpegError) as caught:
        read_coefficients(data)
    kept = read_coefficients(data, damage="keep")
    assert str(kept.damage) == str(caught.value)
    assert len(kept.damages) == 1
    assert kept.damages[0] is kept.damage
    for c, (plane, truth) in enumerate(zip(kept.planes, image.expected_planes(), strict=True)):
        lost = interval_of_blocks(c, interleaved=True) == n
        np.testing.assert_array_equal(plane[~lost], truth[~lost])
        # Blocks before the fault are kept, the others are zero.
        wrong = (plane != truth).any(axis=(2, 3))
        assert not plane[wrong].any()


def test_every_damaged_interval_is_listed_in_order() -> None:
    _, data = sample("baseline")
    whole = data
    for n in (2, 5, 6):
        data = edit_interval(data, n, None)
    kept = read_coefficients(data, damage="keep")
    assert [type(error).__name__ for error in kept.damages] == ["MalformedJpegError"] * 3
    offsets = [error.offset_bytes for error in kept.damages]
    assert offsets == sorted(offsets)
    assert read_coefficients(whole, damage="keep").damages == ()
    [batched] = read_coefficients_batch([data], damage="keep")
    assert [str(error) for error in batched.damages] == [f"image 0: {error}" for error in kept.damages]


@pytest.mark.parametrize("process", PROCESSES)
def test_missing_intervals_leave_the_others_in_their_place(process: str) -> None:
    image, data = sample(process)
    for scan in range(scan_count(process)):
        Ss, components = image.scans[scan].Ss, image.scans[scan].components
        edited = edits.drop_restart_interval(edits.drop_restart_interval(data, 3, index=scan), 3, index=scan)
        with pytest.raises(JpegError):
            read_coefficients(edited)
        kept = read_coefficients(edited, damage="keep")
        assert kept.damages
        for c, (plane, truth) in enumerate(zip(kept.planes, image.expected_planes(), strict=True)):
            interval = interval_of_blocks(c, interleaved=len(components) > 1)
            lost = (interval == 4) | (interval == 5) if c in components else np.zeros_like(interval, bool)
            np.testing.assert_array_equal(plane[~lost], truth[~lost], err_msg=f"scan {scan}")
            if "progressive" in process:  # scans of the other band are not touched
                other = slice(0, 1) if Ss > 0 else slice(1, 64)
                got = plane.reshape(*plane.shape[:2], 64)[..., other]
                np.testing.assert_array_equal(got, truth.reshape(*truth.shape[:2], 64)[..., other])


@pytest.mark.parametrize("scan", range(len(PROGRESSIVE)))
def test_a_damaged_interval_of_a_progressive_scan_costs_its_own_blocks_only(scan: int) -> None:
    image, data = sample("progressive")
    # Nothing is left of the interval, whatever bits a refinement takes.
    kept = read_coefficients(edit_interval(data, 4, b"", scan=scan), damage="keep")
    components = image.scans[scan].components
    touched = False
    for c, (plane, truth) in enumerate(zip(kept.planes, image.expected_planes(), strict=True)):
        interval = interval_of_blocks(c, interleaved=len(components) > 1)
        lost = (interval == 4) if c in components else np.zeros_like(interval, bool)
        np.testing.assert_array_equal(plane[~lost], truth[~lost])
        touched |= not np.array_equal(plane, truth)
    assert kept.damages
    assert touched


def test_a_cut_file_lists_the_intervals_that_it_lacks() -> None:
    _, data = sample("baseline")
    raw = edits.find(data, "scan data").raw
    kept = read_coefficients(edits.cut_scan(data, edits.restart_offsets(raw)[3] + 2), damage="keep")
    assert isinstance(kept.damage, TruncatedJpegError)
    assert len(kept.damages) == 2  # the interval that was begun, and all after it


def test_damage_beyond_the_longest_list_is_counted() -> None:
    image = random_image(3, sof=0, height=8, width=8 * 600, sampling=((1, 1),))
    image = dataclasses.replace(image, scans=(WrittenScan((0,), restart_interval=1),))
    data = write(image, 1)
    raw = edits.find(data, "scan data").raw
    markers = b"".join(raw[at : at + 2] for at in edits.restart_offsets(raw))
    kept = read_coefficients(edits.replace_scan_data(data, markers), damage="keep")
    assert len(kept.damages) == 256
    assert "345 damaged restart intervals" in str(kept.damages[-1])
    assert not kept.planes[0].any()


def test_after_a_damaged_scan_the_next_one_is_read() -> None:
    image = random_image(5, sof=0, height=HEIGHT, width=WIDTH, sampling=SAMPLING)
    image = dataclasses.replace(image, scans=tuple(WrittenScan((i,)) for i in range(3)))
    data = edits.cut_scan(write(image, 2), 30, index=0)
    data += write(image, 2)[edits.find(write(image, 2), "SOS", 1).offset :]
    kept = read_coefficients(data, damage="keep")
    assert len(kept.damages) == 1
    for plane, truth in list(zip(kept.planes, image.expected_planes(), strict=True))[1:]:
        np.testing.assert_array_equal(plane, truth)


def test_a_batch_tensor_holds_what_resample_makes_of_the_kept_coefficients() -> None:
    _, data = sample("baseline")
    data = edit_interval(data, 2, None)
    got, errors = read_batch([data], size=(64, 96), boxes=[(0, 0, 64, 96)], damage="keep", errors="return")
    kept = read_coefficients(data, damage="keep")
    np.testing.assert_array_equal(got[0], resample(kept, (0, 0, 64, 96), (64, 96)))
    assert str(errors[0]) == f"image 0: {kept.damage}"
