"""Properties that hold for any file: what was written is read, damage is reported, nothing crashes or hangs.

Files come from tests/writer.py: any process, size, sampling, scan script, tables, restart intervals, conditioning.
`pytest -m long` runs the same properties over many more files (tests/conftest.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from jpegfreq import (
    Coefficients,
    JpegError,
    MalformedJpegError,
    TruncatedJpegError,
    read_coefficients,
    read_coefficients_batch,
    read_header,
)
from tests import edits, reference
from tests.agreement import assert_agrees
from tests.generate import FACTORS, Sampling, random_image
from tests.oracle import Oracle
from tests.writer import WrittenImage, write

PROCESSES = {0: "baseline", 1: "extended", 2: "progressive", 9: "arithmetic extended", 10: "arithmetic progressive"}
HUFFMAN = (0, 1, 2)
SECONDS_A_FILE = 1.0


@dataclass(frozen=True)
class Written:
    """A file and the image that it must read as."""

    image: WrittenImage
    data: bytes
    seed: int

    def __repr__(self) -> str:
        """Show the call that makes the file again."""
        p = self.image
        sampling = tuple((c.horizontal_sampling_factor, c.vertical_sampling_factor) for c in p.components)
        return f"written({self.seed}, {p.sof}, {p.precision}, {p.height}, {p.width}, {sampling})"


def written(seed: int, sof: int, precision: int, height: int, width: int, sampling: Sampling) -> Written:
    image = random_image(seed, sof=sof, height=height, width=width, sampling=sampling, precision=precision)
    return Written(image, write(image, seed), seed)


@st.composite
def files(draw: st.DrawFn, largest_side: int = 50, sofs: tuple[int, ...] = tuple(PROCESSES)) -> Written:
    sof = draw(st.sampled_from(sofs))
    return written(
        draw(st.integers(0, 1 << 32)),
        sof,
        8 if sof == 0 else draw(st.sampled_from((8, 12))),
        draw(st.integers(1, largest_side)),
        draw(st.integers(1, largest_side)),
        tuple(draw(st.lists(st.sampled_from(FACTORS), min_size=1, max_size=4))),
    )


def assert_reads_as(data: bytes, image: WrittenImage) -> None:
    assert_holds(read_coefficients(data), image)


def assert_holds(coefficients: Coefficients, image: WrittenImage) -> None:
    assert coefficients.damage is None
    for plane, expected in zip(coefficients.planes, image.expected_planes(), strict=True):
        np.testing.assert_array_equal(plane, expected)
    for table, expected_table in zip(coefficients.quantization_tables, image.expected_tables(), strict=True):
        np.testing.assert_array_equal(table, expected_table)


# ------------------------------------------------------------------------------------------- good files


@given(files())
def test_what_was_written_is_read(file: Written) -> None:
    assert_reads_as(file.data, file.image)


@given(files(largest_side=25))
def test_reference_and_libjpeg_read_what_was_written(oracle: Oracle, file: Written) -> None:
    """Test the oracles that the other tests rely on."""
    truth = reference.decode(file.data)
    theirs = oracle.read(file.data)
    assert theirs.clean
    for expected, plane, component in zip(file.image.expected_planes(), truth.planes, theirs.components, strict=True):
        np.testing.assert_array_equal(plane, expected)
        np.testing.assert_array_equal(component.plane, expected)


@given(files())
def test_header_says_what_was_written(file: Written) -> None:
    header = read_header(file.data)
    image = file.image
    assert (header.height, header.width, header.precision) == (image.height, image.width, image.precision)
    assert header.process == PROCESSES[image.sof]
    assert header.restart_interval == image.scans[0].restart_interval
    for component, c in zip(header.components, image.components, strict=True):
        assert component.identifier == c.identifier
        assert component.horizontal_sampling_factor == c.horizontal_sampling_factor
        assert component.vertical_sampling_factor == c.vertical_sampling_factor
        assert component.quantization_table_id == c.quantization_table_id
        assert (component.blocks_high, component.blocks_wide) == image.blocks(c)
    coefficients = read_coefficients(file.data)
    assert coefficients.header == header
    assert [p.shape for p in coefficients.planes] == [(c.blocks_high, c.blocks_wide, 8, 8) for c in header.components]


@given(files(), st.integers(0, 7))
def test_restart_intervals_change_nothing(file: Written, interval: int) -> None:
    """Prediction, EOB runs and statistics are reset after each marker (F.1.1.5.1, G.1.2.2, F.1.4.4.1.5)."""
    scans = tuple(dataclasses.replace(scan, restart_interval=interval) for scan in file.image.scans)
    image = dataclasses.replace(file.image, scans=scans)
    assert_reads_as(write(image, file.seed), image)


@given(files())
def test_height_may_stand_in_a_dnl_segment(file: Written) -> None:
    assert_reads_as(edits.move_height_to_dnl(file.data), file.image)


@given(files(), files(), st.binary(max_size=40))
def test_bytes_after_eoi_are_not_read(file: Written, other: Written, trailer: bytes) -> None:
    assert_reads_as(file.data + trailer, file.image)
    assert_reads_as(file.data + other.data, file.image)  # as in a multi-image file


@given(files(), st.randoms(use_true_random=False))
def test_padding_between_segments_changes_nothing(file: Written, random: Random) -> None:
    """Insert fill bytes (B.1.1.2), unknown segments, stray restart markers, and junk where no scan ends."""
    choose = random.choice
    out, before = b"", ""
    for segment in edits.segments(file.data):
        if segment.name not in ("SOI", "scan data"):
            kinds = [b"", b"", b"\xff", b"\xff" * 5]
            if before not in ("SOI", "scan data"):
                kinds += [b"\x00", b"junk", b"\xff\x00", b"\xff\xd4", b"\xff\x01"]
            if before != "scan data" or segment.name != "EOI":
                kinds += [edits.make_segment("COM", b"\xff\xd9\xff\xda"), edits.make_segment("APP7", bytes(9))]
            out += choose(kinds)
        out += segment.raw
        before = segment.name
    assert_reads_as(out, file.image)


# --------------------------------------------------------------------------------------- damaged files


def damaged_blocks(plane: npt.NDArray[np.int16], expected: npt.NDArray[np.int16], progressive: bool) -> int:
    """Count the blocks that are neither whole nor empty nor, if progressive, whole except for their last bits."""
    difference = plane != expected
    allowed = plane == 0
    if progressive:
        for bit in range(14):
            step = 1 << bit
            truncated = np.sign(expected) * (np.abs(expected.astype(int)) // step * step)
            truncated[..., 0, 0] = expected[..., 0, 0] // step * step
            allowed |= plane == truncated
    if not progressive:  # a sequential block is whole or empty
        touched = plane.any(axis=(2, 3), keepdims=True)
        allowed &= ~touched
    return int((difference & ~allowed).any(axis=(2, 3)).sum())


@given(files(), st.floats(0, 1))
def test_prefix_of_a_file_is_never_silently_short(file: Written, where: float) -> None:
    prefix = file.data[: int(where * len(file.data))]
    try:
        result = read_coefficients(prefix)
    except (TruncatedJpegError, MalformedJpegError) as error:
        assert error.offset_bytes is not None
        assert error.offset_bytes <= len(prefix)
        try:
            kept = read_coefficients(prefix, damage="keep")
        except JpegError as of_header:  # noqa: F841 - the header is not whole: nothing to keep
            return
        assert str(kept.damage) == str(error)
        if file.image.sof in HUFFMAN:  # arithmetic decoding continues with zeros for a while
            pairs = zip(kept.planes, file.image.expected_planes(), strict=True)
            assert sum(damaged_blocks(p, e, file.image.sof == 2) for p, e in pairs) <= 10  # one MCU
    else:
        assert_holds(result, file.image)


@given(files(largest_side=30), st.data())
def test_corrupted_bytes_agree_with_libjpeg_and_cost_no_time(
    oracle: Oracle, file: Written, data: st.DataObject
) -> None:
    corrupted = bytearray(file.data)
    for _ in range(data.draw(st.integers(1, 3))):
        corrupted[data.draw(st.integers(0, len(corrupted) - 1))] = data.draw(
            st.sampled_from((0, 0xFF, 0xD0, 0xD9, 0xDA)) | st.integers(0, 255)
        )
    start = time.thread_time()
    with contextlib.suppress(JpegError):
        read_coefficients(bytes(corrupted), damage="keep")
    assert time.thread_time() - start < SECONDS_A_FILE
    assert_agrees(bytes(corrupted), oracle)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_at_all_end_in_an_error(noise: bytes, after_soi: bool) -> None:
    data = b"\xff\xd8" * after_soi + noise
    try:
        read_coefficients(data)
    except JpegError:
        return
    raise AssertionError("noise was read as an image")


# ------------------------------------------------------------------------------------------------ batch


@st.composite
def whole_and_damaged(draw: st.DrawFn) -> list[bytes]:
    """Draw a file that is whole, truncated, or has changed bytes after its first third."""
    data = draw(files(largest_side=60, sofs=(0, 0, 0, 1, 2, 9))).data
    out = [data] * draw(st.integers(1, 3))
    for _ in range(draw(st.integers(0, 2))):
        changed = bytearray(data)
        for _ in range(draw(st.integers(1, 2))):
            changed[draw(st.integers(len(data) // 3, len(data) - 1))] = draw(st.integers(0, 255))
        out.append(bytes(changed))
    if draw(st.booleans()):
        out.append(data[: draw(st.integers(0, len(data)))])
    return out


@given(st.lists(whole_and_damaged(), max_size=6), st.randoms(use_true_random=False), st.integers(1, 3), st.booleans())
def test_batch_reads_what_single_calls_read(
    images: list[list[bytes]], random: Random, threads: int, keep: bool
) -> None:
    """Mix good and bad files: no error and no coefficient passes from one image to another."""
    data = [image for variants in images for image in variants]
    random.shuffle(data)
    damage: Literal["keep", "raise"] = "keep" if keep else "raise"
    results = read_coefficients_batch(data, threads=threads, damage=damage, errors="return")
    assert len(results) == len(data)
    for one, result in zip(data, results, strict=True):
        try:
            single = read_coefficients(one, damage=damage)
        except JpegError as error:
            assert isinstance(result, JpegError)
            assert type(result) is type(error)
            assert re.sub(r"image \d+: ", "", str(result)) == str(error)
            continue
        assert isinstance(result, Coefficients)
        assert result.header == single.header
        assert re.sub(r"image \d+: ", "", str(result.damage)) == str(single.damage)
        for a, b in zip(result.planes, single.planes, strict=True):
            np.testing.assert_array_equal(a, b)
        for table, single_table in zip(result.quantization_tables, single.quantization_tables, strict=True):
            np.testing.assert_array_equal(table, single_table)
