"""Unusual but complete files read whole; damage inside a scan is reported, and everything before it is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest

from jpegfreq import (
    JpegError,
    MalformedJpegError,
    TruncatedJpegError,
    read_coefficients,
    read_coefficients_batch,
    read_header,
)
from tests import edits
from tests.agreement import assert_agrees
from tests.generate import random_image
from tests.oracle import Oracle
from tests.samples import (
    ARITHMETIC,
    ARITHMETIC_IMAGE,
    BASELINE,
    BASELINE_IMAGE,
    SEPARATE,
    SEPARATE_IMAGE,
    small_image,
)
from tests.writer import WrittenImage, WrittenScan, dqt_body, write

Edit = Callable[[bytes], bytes]


def exif(orientation: int, order: Literal["big", "little"] = "big") -> bytes:
    """Make the parameters of an APP1 segment with an EXIF orientation."""
    number = {"big": b"MM", "little": b"II"}[order]
    entry = b"".join(
        value.to_bytes(size, order) for value, size in ((0x0112, 2), (3, 2), (1, 4), (orientation, 2), (0, 2))
    )
    head = number + (42).to_bytes(2, order) + (8).to_bytes(4, order) + (1).to_bytes(2, order)
    return b"Exif\0\0" + head + entry + bytes(4)


# ----------------------------------------------------------------------------------- unusual but complete


def assert_reads_as_baseline(data: bytes) -> None:
    coefficients = read_coefficients(data)
    assert coefficients.damage is None
    for plane, expected in zip(coefficients.planes, BASELINE_IMAGE.expected_planes(), strict=True):
        np.testing.assert_array_equal(plane, expected)
    for table, expected_table in zip(coefficients.quantization_tables, BASELINE_IMAGE.expected_tables(), strict=True):
        np.testing.assert_array_equal(table, expected_table)


ACCEPTED: dict[str, Edit] = {
    "nothing changed": lambda d: d,
    "fill bytes before every marker": lambda d: b"".join(
        (b"\xff" * n if s.name not in ("SOI", "scan data") else b"") + s.raw for n, s in enumerate(edits.segments(d))
    ),
    "fill bytes before a restart marker": lambda d: edits.replace_scan_data(
        d, edits.find(d, "scan data").raw.replace(b"\xff\xd1", b"\xff\xff\xff\xd1")
    ),
    "fill bytes before a stuffed byte": lambda d: edits.replace_scan_data(
        d, edits.find(d, "scan data").raw.replace(b"\xff\x00", b"\xff\xff\xff\x00")
    ),
    "junk between segments": lambda d: edits.insert_bytes(d, b"junk\xff\x00junk", before="DHT"),
    "junk behind SOI": lambda d: edits.insert_bytes(d, b"junk", before="DQT"),
    "junk before EOI": lambda d: edits.insert_bytes(d, b"\x00\x01\x02", before="EOI"),
    "bytes behind EOI": lambda d: d + b"trailing \xff\xd8\xff\xda",
    "another image behind EOI": lambda d: d + SEPARATE,
    "no EOI": lambda d: edits.remove_segment(d, "EOI"),
    "half an EOI": lambda d: d[:-1],
    "foreign segments": lambda d: edits.insert_segment(
        edits.insert_segment(d, "APP9", bytes(300), before="SOF"), "COM", b"hello \xff\xd9 \xff\xda"
    ),
    "an empty foreign segment": lambda d: edits.insert_segment(d, "COM", b""),
    "a foreign segment of length 0": lambda d: edits.insert_bytes(d, b"\xff\xe3\x00\x00", before="SOF"),
    "a restart marker between segments": lambda d: edits.insert_bytes(d, b"\xff\xd3", before="DHT"),
    "TEM": lambda d: edits.insert_segment(d, "TEM"),
    "empty DQT and DHT segments": lambda d: edits.insert_segment(edits.insert_segment(d, "DQT"), "DHT"),
    "an overfull Huffman table that no scan names": lambda d: edits.insert_segment(
        d, "DHT", b"\x13" + bytes([9] + [0] * 15) + bytes(9)
    ),
    "a DNL that says what SOF said": lambda d: edits.insert_segment(d, "DNL", (24).to_bytes(2, "big"), before="EOI"),
    "the height in a DNL segment": edits.move_height_to_dnl,
    "a quantization table defined before and replaced": lambda d: edits.insert_segment(
        d, "DQT", dqt_body({0: [9] * 64}), before="DQT"
    ),
    "the table of 8 bits written with 16": lambda d: edits.replace_segment(
        d, "DQT", body=dqt_body(BASELINE_IMAGE.quantization_tables, wide=True)
    ),
    "a restart interval replaced before the scan": lambda d: edits.insert_segment(d, "DRI", b"\0\7", before="DRI"),
    "conditioning of arithmetic coding": lambda d: edits.insert_segment(d, "DAC", b"\x00\x10\x10\x05"),
    "SOF1 in place of SOF0": lambda d: edits.rename_segment(d, "SOF0", "SOF1"),
    "a multi-picture index (MPF) and a second image": lambda d: (
        edits.insert_segment(d, "APP2", b"MPF\0MM\0*" + bytes(80), before="DQT") + SEPARATE
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_unusual_file_reads_whole(name: str) -> None:
    assert_reads_as_baseline(ACCEPTED[name](BASELINE))


@pytest.mark.parametrize(
    ("data", "picture"), [(BASELINE, BASELINE_IMAGE), (ARITHMETIC, ARITHMETIC_IMAGE)], ids=["huffman", "arithmetic"]
)
@pytest.mark.parametrize("fields", [{"Se": 0}, {"Ss": 1}, {"Al": 15}, {"Ah": 2, "Al": 1}], ids=str)
def test_a_sequential_scan_covers_all_coefficients_whatever_its_header_says(
    data: bytes, picture: WrittenImage, fields: dict[str, Any]
) -> None:
    planes = read_coefficients(edits.set_scan(data, **fields)).planes
    for plane, expected in zip(planes, picture.expected_planes(), strict=True):
        np.testing.assert_array_equal(plane, expected)


def test_the_quantization_table_at_the_first_scan_is_used() -> None:
    first = edits.insert_segment(SEPARATE, "DQT", dqt_body({0: [77] * 64}), before="SOS", index=1)
    tables = read_coefficients(first).quantization_tables
    assert tables[0][0, 1] == 2
    assert (tables[1] == 77).all()
    assert (tables[2] == 77).all()


def test_motion_jpeg_frame_without_huffman_tables_uses_those_of_annex_k() -> None:
    """Frames of Motion JPEG may have no DHT; a scan of empty blocks in K.3's codes must read as zeros."""
    data = write(small_image(0, (WrittenScan((0,)),), ((1, 1),)), 1)
    while any(s.name == "DHT" for s in edits.segments(data)):
        data = edits.remove_segment(data, "DHT")
    # 15 blocks, each 00 (a difference of 0 bits) and 1010 (EOB): tables K.3 and K.5.
    bits = "001010" * 15
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big")
    coefficients = read_coefficients(edits.replace_scan_data(data, scan))
    assert not coefficients.planes[0].any()


# --------------------------------------------------------------------------------------------------- orientation


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_read(orientation: int, order: Literal["big", "little"]) -> None:
    data = edits.insert_segment(BASELINE, "APP1", exif(orientation, order), before="DQT")
    assert read_header(data).orientation == orientation


@pytest.mark.parametrize("body", [exif(0), exif(9), exif(5)[:20], b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b""])
def test_unreadable_exif_orientation_is_one(body: bytes) -> None:
    assert read_header(edits.insert_segment(BASELINE, "APP1", body, before="DQT")).orientation == 1


# -------------------------------------------------------------------------------------------------- colour kind

JFIF = b"JFIF\0\1\1\0\0\1\0\1\0\0"


def adobe(transform: int) -> bytes:
    return b"Adobe\0d\0\0\0\0" + bytes([transform])


@pytest.mark.parametrize(
    ("identifiers", "segments", "color"),
    [
        ([1], [], "grey"),
        ([1], [("APP14", adobe(1))], "grey"),
        ([1, 2, 3], [], "YCbCr"),
        ([0, 1, 2], [], "YCbCr"),
        ([82, 71, 66], [], "RGB"),
        ([82, 71, 66], [("APP0", JFIF)], "YCbCr"),
        ([82, 71, 66], [("APP14", adobe(1))], "YCbCr"),
        ([1, 2, 3], [("APP14", adobe(0))], "RGB"),
        ([1, 2, 3], [("APP14", adobe(0)), ("APP0", JFIF)], "YCbCr"),
        ([1, 2, 3], [("APP14", adobe(0)[:-1])], "YCbCr"),
        ([1, 2, 3, 4], [], "CMYK"),
        ([1, 2, 3, 4], [("APP14", adobe(0))], "CMYK"),
        ([1, 2, 3, 4], [("APP14", adobe(2))], "YCCK"),
        ([1, 2], [], "unknown"),
    ],
)
def test_colour_kind_follows_libjpegs_rules(
    identifiers: list[int], segments: list[tuple[str, bytes]], color: str
) -> None:
    sampling = ((1, 1),) * len(identifiers)
    picture = small_image(0, (WrittenScan(tuple(range(len(identifiers)))),), sampling)
    data = edits.set_frame(write(picture), components=[(i, 1, 1, 0) for i in identifiers])
    data = edits.set_scan(data, selectors=[(i, j, j) for i, j in zip(identifiers, (0, 1, 1, 0), strict=False)])
    for name, body in segments:
        data = edits.insert_segment(data, name, body, before="DQT")
    assert read_header(data).color == color


# --------------------------------------------------------------------------------------------- restart intervals


@pytest.mark.parametrize(
    ("edit", "mcu"),
    [
        (lambda d: edits.drop_restart_marker(d, 1), 1),
        (lambda d: edits.drop_restart_interval(d, 1), 2),
        (lambda d: edits.swap_restart_markers(d, 1), 2),
        (lambda d: edits.cut_scan(d, edits.restart_offsets(edits.find(d, "scan data").raw)[1]), 2),
    ],
    ids=["dropped", "interval_dropped", "swapped", "cut"],
)
def test_a_wrong_restart_marker_is_damage_and_everything_before_it_is_kept(edit: Edit, mcu: int) -> None:
    data = edit(BASELINE)
    with pytest.raises(JpegError) as caught:
        read_coefficients(data)
    assert caught.value.segment == "scan data"
    kept = read_coefficients(data, damage="keep")
    assert str(kept.damage) == str(caught.value)
    # MCUs of 2 x 2 luma blocks, three per row; those before the fault are whole.
    expected = BASELINE_IMAGE.expected_planes()
    for n in range(mcu):
        np.testing.assert_array_equal(kept.planes[0][:2, 2 * n : 2 * n + 2], expected[0][:2, 2 * n : 2 * n + 2])
        np.testing.assert_array_equal(kept.planes[1][0, n], expected[1][0, n])


@pytest.mark.parametrize("keep", [0, 1, 10, 40])
def test_truncated_scan_raises_truncated_at_its_end(keep: int) -> None:
    data = edits.truncate_scan(BASELINE, keep)
    with pytest.raises(TruncatedJpegError) as caught:
        read_coefficients(data)
    assert caught.value.segment == "scan data"
    offset = caught.value.offset_bytes
    assert offset is not None
    assert len(data) - 2 <= offset <= len(data)


def test_second_scan_of_a_sequential_component_overwrites_what_it_codes(oracle: Oracle) -> None:
    """In T.81 a component has one sequential scan; libjpeg lets a second one overwrite the first without a warning."""
    other = random_image(8, sof=0, height=24, width=40, sampling=((2, 2), (1, 1), (1, 1)))
    scans = (WrittenScan((1,)), WrittenScan((0, 2), restart_interval=4))
    again = write(dataclasses.replace(SEPARATE_IMAGE, planes=other.planes, scans=scans))
    extra = again[edits.find(again, "SOF").offset + len(edits.find(again, "SOF").raw) : -2]
    data = edits.insert_bytes(SEPARATE, extra, before="EOI")
    assert oracle.read(data).clean
    assert_agrees(data, oracle)
    read_coefficients(data)


# ------------------------------------------------------------------------------------- codes within one block


def one_block(bits: str, symbol: int, code_length: int, *, progressive: bool = False) -> bytes:
    """A grey image of 8 x 8: DC difference 0, then `bits`. AC codes: 0...0 of `code_length` is `symbol`, 0...01 EOB."""
    dc = b"\x00" + bytes([1] + [0] * 15) + b"\x00"
    counts = [0] * 16
    counts[code_length - 1] = 2
    ac = b"\x10" + bytes(counts) + bytes([symbol, 0])
    head = b"\xff\xd8" + edits.make_segment("DQT", bytes(1) + bytes([1] * 64))
    head += edits.make_segment("SOF2" if progressive else "SOF0", b"\x08\0\x08\0\x08\1\1\x11\0")
    head += edits.make_segment("DHT", dc + ac)
    if progressive:
        head += edits.make_segment("SOS", b"\1\1\0\0\0\0") + b"\x7f" + edits.make_segment("SOS", b"\1\1\0\1\x3f\0")
    else:
        head += edits.make_segment("SOS", b"\1\1\0\0\x3f\0")
        bits = "0" + bits
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return head + data + b"\xff\xd9"


LENGTHS = [2, 6, 9, 10, 11, 12, 16]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("symbol", [0xF1, 0xF2, 0xF7, 0xF0], ids=hex)
def test_run_beyond_the_last_coefficient_is_malformed(symbol: int, length: int, progressive: bool) -> None:
    """Fifteen zeros and a value, four times, make 64 coefficients, which is one too many."""
    size = symbol & 15
    value = "1" * size
    code = "0" * length
    data = one_block((code + value) * (4 if size else 5), symbol, length, progressive=progressive)
    with pytest.raises(MalformedJpegError) as caught:
        read_coefficients(data)
    assert caught.value.segment == "scan data"
    assert caught.value.clause == ("G.2.2" if progressive else "F.2.2.2")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_block_may_end_with_coefficient_63_or_with_sixteen_zeros(length: int, progressive: bool) -> None:
    code, eob = "0" * length, "0" * (length - 1) + "1"
    values = one_block((code + "1") * 3 + eob, 0xF1, length, progressive=progressive)
    (plane,) = read_coefficients(values).planes
    assert plane.sum() == 3
    full = one_block((code + "1") * 63, 0x01, length, progressive=progressive)
    (plane,) = read_coefficients(full).planes
    assert plane.sum() == 63


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_code_that_is_not_in_the_table_is_malformed(length: int, progressive: bool) -> None:
    data = one_block("1" * 40, 0x01, length, progressive=progressive)
    with pytest.raises(MalformedJpegError) as caught:
        read_coefficients(data)
    assert caught.value.segment == "scan data"
    assert caught.value.clause == ("G.2.2" if progressive else "F.2.2.3")


@pytest.mark.parametrize("size", range(1, 16))
@pytest.mark.parametrize("length", LENGTHS)
def test_values_of_every_size_are_read(size: int, length: int) -> None:
    """Values have 1 to 15 bits after codes of any length, and both signs (F.1.2.1: EXTEND)."""
    code = "0" * length
    bits = "".join(code + f"{v:0{size}b}" for v in (0, (1 << size) - 1, 1 << (size - 1), (1 << (size - 1)) - 1))
    (plane,) = read_coefficients(one_block(bits + "0" * (length - 1) + "1", size, length)).planes
    low, high = 1 << (size - 1), (1 << size) - 1
    assert plane.ravel()[[1, 8, 16, 9]].tolist() == [-high, high, low, -low]


@pytest.mark.parametrize("bits", ["001" * 4, "1" * 40, "001001" + "1" * 40], ids=["run", "code", "later_code"])
@pytest.mark.parametrize("threads", [1, 2])
def test_damage_of_one_image_leaves_no_trace_in_the_next(bits: str, threads: int) -> None:
    """A run or an unknown code at a chunk's end may write after its blocks; that must not appear in a later image."""
    bad = one_block(bits, 0xF1, 2)
    images = [bad, BASELINE, SEPARATE, bad, bad, bad, bad] + [BASELINE] * 8
    results = read_coefficients_batch(images * 2, threads=threads, errors="return")
    expected = {id(BASELINE): BASELINE_IMAGE, id(SEPARATE): SEPARATE_IMAGE}
    for image, result in zip(images * 2, results, strict=True):
        if image is bad:
            assert isinstance(result, MalformedJpegError)
            continue
        assert not isinstance(result, Exception)
        for plane, expected_plane in zip(result.planes, expected[id(image)].expected_planes(), strict=True):
            np.testing.assert_array_equal(plane, expected_plane)
