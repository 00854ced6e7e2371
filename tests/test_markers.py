"""Every broken rule for marker segments raises the right class of error, with the byte and the clause of T.81."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from jpegfreq import (
    JpegError,
    MalformedJpegError,
    TruncatedJpegError,
    UnsupportedJpegError,
    read_coefficients,
    read_header,
)
from tests import edits
from tests.huffman_writer import dht_body, random_huffman_table
from tests.samples import BASELINE, PROGRESSIVE, SEPARATE


@dataclass(frozen=True)
class Case:
    """One broken rule: how the file is made, and what the error must say."""

    name: str
    make: Callable[[], bytes]
    error: type[JpegError]
    segment: str
    clause: str
    at: Callable[[bytes], int] | None  # the byte that the error must name; None for the end of the data
    header: bool  # read_header also finds it


def at(name: str, index: int = 0) -> Callable[[bytes], int]:
    """Find the offset of a segment in the malformed file by its marker alone."""
    if name == "start":
        return lambda data: 0
    marker = edits.make_segment(name, b"")[:2]

    def where(data: bytes) -> int:
        offset = -1
        for _ in range(index + 1):
            offset = data.index(marker, offset + 1)
        return offset

    return where


def malformed(name: str, make: Callable[[], bytes], segment: str, clause: str, index: int = 0, *, header: bool) -> Case:
    marker = {"SOF": "SOF0"}.get(segment, segment)
    return Case(name, make, MalformedJpegError, segment, clause, at(marker, index), header)


def with_dht(body: bytes, data: bytes = BASELINE) -> bytes:
    """Define a table a second time, before the scan, so that this definition applies."""
    return edits.insert_segment(data, "DHT", body)


def last_dht(data: bytes) -> int:
    """Find the DHT segment directly before the first scan."""
    return [s for s in edits.segments(data[: data.index(b"\xff\xda")]) if s.name == "DHT"][-1].offset


def dht_case(name: str, body: bytes, clause: str, *, header: bool) -> Case:
    return Case(name, lambda: with_dht(body), MalformedJpegError, "DHT", clause, last_dht, header)


def progressive_case(name: str, scan: int, clause: str, **fields: Any) -> Case:
    """Change the fields of a scan header of PROGRESSIVE."""
    return malformed(name, lambda: edits.set_scan(PROGRESSIVE, index=scan, **fields), "SOS", clause, scan, header=False)


FULL_AC = dht_body({(1, 0): random_huffman_table(set(range(256)), 256, random.Random(1))})

CASES = [
    # ------------------------------------------------------------------------------------------ SOI, EOI, markers
    Case("no data", lambda: b"", TruncatedJpegError, "SOI", "B.2.1", at("start"), True),
    Case("one byte", lambda: b"\xff", TruncatedJpegError, "SOI", "B.2.1", at("start"), True),
    Case("a PNG", lambda: b"\x89PNG\r\n\x1a\n" + bytes(40), MalformedJpegError, "SOI", "B.2.1", at("start"), True),
    Case("a byte before SOI", lambda: b"\0" + BASELINE, MalformedJpegError, "SOI", "B.2.1", at("start"), True),
    Case("SOI alone", lambda: b"\xff\xd8", TruncatedJpegError, "SOF", "B.2.1", len, True),
    Case("SOI and EOI alone", lambda: b"\xff\xd8\xff\xd9", MalformedJpegError, "EOI", "B.2.1", lambda data: 2, True),
    malformed("a second SOI", lambda: edits.insert_segment(BASELINE, "SOI"), "SOI", "B.2.1", 1, header=True),
    Case(
        "a reserved marker",
        lambda: edits.insert_bytes(BASELINE, b"\xff\x02\x00\x02", before="SOS"),
        MalformedJpegError,
        "marker",
        "B.1.1.3",
        lambda data: data.index(b"\xff\x02"),
        True,
    ),
    Case(
        "a JPG extension",
        lambda: edits.insert_bytes(BASELINE, b"\xff\xf0\x00\x02", before="SOS"),
        MalformedJpegError,
        "marker",
        "B.1.1.3",
        lambda data: data.index(b"\xff\xf0"),
        True,
    ),
    malformed("EOI before the scan", lambda: edits.insert_segment(BASELINE, "EOI"), "EOI", "B.2.1", header=True),
    # ------------------------------------------------------------------------------------------- segment lengths
    malformed(
        "a DQT length of 1", lambda: edits.replace_segment(BASELINE, "DQT", length=1), "DQT", "B.1.1.4", header=True
    ),
    malformed(
        "a DRI length of 0", lambda: edits.replace_segment(BASELINE, "DRI", length=0), "DRI", "B.1.1.4", header=True
    ),
    Case(
        "a DQT past the end",
        lambda: edits.replace_segment(BASELINE, "DQT", length=65535),
        TruncatedJpegError,
        "DQT",
        "B.1.1.4",
        at("DQT"),
        True,
    ),
    Case(
        "an APP segment past the end",
        lambda: edits.insert_bytes(BASELINE, b"\xff\xe5\xff\xff", before="DQT"),
        TruncatedJpegError,
        "APPn",
        "B.1.1.4",
        at("APP5"),
        True,
    ),
    # -------------------------------------------------------------------------------------------------------- DQT
    malformed(
        "a quantization table number of 4",
        lambda: edits.insert_segment(BASELINE, "DQT", b"\x04" + bytes(range(1, 65))),
        "DQT",
        "B.2.4.1",
        1,
        header=True,
    ),
    malformed(
        "a quantization precision of 2",
        lambda: edits.insert_segment(BASELINE, "DQT", b"\x20" + bytes(range(1, 129))),
        "DQT",
        "B.2.4.1",
        1,
        header=True,
    ),
    malformed(
        "a quantization table one byte short",
        lambda: edits.insert_segment(BASELINE, "DQT", b"\x00" + bytes(range(1, 64))),
        "DQT",
        "B.2.4.1",
        1,
        header=True,
    ),
    malformed(
        "a 16-bit quantization table of 64 bytes",
        lambda: edits.insert_segment(BASELINE, "DQT", b"\x10" + bytes(range(1, 65))),
        "DQT",
        "B.2.4.1",
        1,
        header=True,
    ),
    malformed("no quantization table", lambda: edits.remove_segment(BASELINE, "DQT"), "SOS", "B.2.2", header=False),
    # -------------------------------------------------------------------------------------------------------- DHT
    dht_case("three codes of one bit", b"\x10" + bytes([3] + [0] * 15) + bytes(3), "C.2", header=False),
    dht_case("a code of all ones", b"\x10" + bytes([2] + [0] * 15) + bytes(2), "C.2", header=False),
    dht_case(
        "a tree that overflows at length 16",
        b"\x10" + bytes([1] * 15 + [2]) + bytes(range(17)),
        "C.2",
        header=False,
    ),
    dht_case("257 codes", b"\x10" + bytes([0] * 8 + [128, 129] + [0] * 6) + bytes(257), "B.2.4.2", header=True),
    dht_case(
        "values that the segment does not hold", b"\x10" + bytes([0, 3] + [0] * 14) + b"\1", "B.2.4.2", header=True
    ),
    dht_case("a table class of 2", b"\x20" + bytes([0, 1] + [0] * 14) + b"\1", "B.2.4.2", header=True),
    dht_case("a table number of 4", b"\x14" + bytes([0, 1] + [0] * 14) + b"\1", "B.2.4.2", header=True),
    dht_case("bytes behind the last table", FULL_AC + b"\0" * 5, "B.2.4.2", header=True),
    dht_case("a DC difference of 16 bits", b"\x00" + bytes([0, 1] + [0] * 14) + b"\x10", "F.1.2.1.1", header=False),
    # -------------------------------------------------------------------------------------------------- DAC, DRI
    malformed(
        "DAC of odd length", lambda: edits.insert_segment(BASELINE, "DAC", b"\0\0\0"), "DAC", "B.2.4.3", header=True
    ),
    malformed(
        "DAC with L over U", lambda: edits.insert_segment(BASELINE, "DAC", b"\0\x12"), "DAC", "B.2.4.3", header=True
    ),
    malformed(
        "DAC of class 2", lambda: edits.insert_segment(BASELINE, "DAC", b"\x20\5"), "DAC", "B.2.4.3", header=True
    ),
    malformed(
        "DAC of table 4", lambda: edits.insert_segment(BASELINE, "DAC", b"\x14\5"), "DAC", "B.2.4.3", header=True
    ),
    malformed(
        "DRI of 1 byte", lambda: edits.replace_segment(BASELINE, "DRI", body=b"\1"), "DRI", "B.2.4.4", header=True
    ),
    malformed(
        "DRI of 3 bytes", lambda: edits.replace_segment(BASELINE, "DRI", body=b"\0\1\0"), "DRI", "B.2.4.4", header=True
    ),
    # -------------------------------------------------------------------------------------------------------- SOF
    malformed(
        "a second frame",
        lambda: edits.insert_segment(BASELINE, "SOF0", edits.find(BASELINE, "SOF0").body),
        "SOF",
        "B.2.1",
        1,
        header=True,
    ),
    malformed(
        "no components",
        lambda: edits.set_frame(BASELINE, components=[]),
        "SOF",
        "B.2.2",
        header=True,
    ),
    malformed(
        "a component count that the length contradicts",
        lambda: edits.set_frame(BASELINE, component_count=2),
        "SOF",
        "B.2.2",
        header=True,
    ),
    Case(
        "five components",
        lambda: edits.set_frame(BASELINE, components=[(n, 1, 1, 0) for n in range(5)]),
        UnsupportedJpegError,
        "SOF",
        "B.2.2",
        at("SOF0"),
        True,
    ),
    *(
        malformed(
            f"sampling factors of {h} x {v}",
            lambda h=h, v=v: edits.set_frame(BASELINE, components=[(1, h, v, 0), (2, 1, 1, 0), (3, 1, 1, 0)]),  # type: ignore[misc]
            "SOF",
            "B.2.2",
            header=True,
        )
        for h, v in ((0, 1), (1, 0), (5, 1), (1, 5), (15, 15))
    ),
    malformed("a width of 0", lambda: edits.set_frame(BASELINE, width=0), "SOF", "B.2.2", header=True),
    malformed(
        "a frame header of 5 bytes",
        lambda: edits.replace_segment(BASELINE, "SOF0", body=bytes(5)),
        "SOF",
        "B.2.2",
        header=True,
    ),
    *(
        Case(
            f"a precision of {bits} bits",
            lambda bits=bits: edits.set_frame(BASELINE, precision=bits),  # type: ignore[misc]
            UnsupportedJpegError,
            "SOF",
            "B.2.2",
            at("SOF0"),
            True,
        )
        for bits in (0, 2, 7, 10, 16, 255)
    ),
    malformed(
        "a component whose quantization table number is 4",
        lambda: edits.set_frame(BASELINE, components=[(1, 2, 2, 4), (2, 1, 1, 0), (3, 1, 1, 0)]),
        "SOS",
        "B.2.2",
        header=False,
    ),
    # ------------------------------------------------------------------------------------------------- DNL
    malformed("no lines and no DNL", lambda: edits.set_frame(BASELINE, height=0), "SOF", "B.2.5", header=True),
    malformed("a DNL of 0 lines", lambda: edits.move_height_to_dnl(BASELINE, 0), "DNL", "B.2.5", header=True),
    malformed(
        "a DNL of 3 bytes",
        lambda: edits.replace_segment(edits.move_height_to_dnl(BASELINE), "DNL", body=b"\0\1\0"),
        "DNL",
        "B.2.5",
        header=True,
    ),
    # ------------------------------------------------------------------------------------------------- SOS
    malformed(
        "a scan before the frame",
        lambda: edits.remove_segment(BASELINE, "SOF0"),
        "SOS",
        "B.2.1",
        header=True,
    ),
    malformed("a scan of no components", lambda: edits.set_scan(BASELINE, selectors=[]), "SOS", "B.2.3", header=False),
    malformed(
        "a scan of five components",
        lambda: edits.set_scan(BASELINE, selectors=[(1, 0, 0)] * 5),
        "SOS",
        "B.2.3",
        header=False,
    ),
    malformed(
        "a component count that the scan's length contradicts",
        lambda: edits.set_scan(BASELINE, component_count=2),
        "SOS",
        "B.2.3",
        header=False,
    ),
    malformed(
        "a scan of an unknown component",
        lambda: edits.set_scan(BASELINE, selectors=[(1, 0, 0), (2, 1, 1), (9, 1, 1)]),
        "SOS",
        "B.2.3",
        header=False,
    ),
    malformed(
        "a scan that names a component twice",
        lambda: edits.set_scan(BASELINE, selectors=[(1, 0, 0), (1, 1, 1)]),
        "SOS",
        "B.2.3",
        header=False,
    ),
    malformed(
        "a scan whose DC table is not defined",
        lambda: edits.set_scan(BASELINE, selectors=[(1, 2, 0), (2, 1, 1), (3, 1, 1)]),
        "SOS",
        "B.2.3",
        header=False,
    ),
    malformed(
        "a scan whose AC table is not defined",
        lambda: edits.set_scan(BASELINE, selectors=[(1, 0, 3), (2, 1, 1), (3, 1, 1)]),
        "SOS",
        "B.2.3",
        header=False,
    ),
    malformed(
        "a scan whose table number is 4",
        lambda: edits.set_scan(BASELINE, selectors=[(1, 4, 0), (2, 1, 1), (3, 1, 1)]),
        "SOS",
        "B.2.3",
        header=False,
    ),
    malformed(
        "eleven blocks an MCU",
        lambda: edits.set_frame(BASELINE, components=[(1, 3, 3, 0), (2, 1, 1, 0), (3, 1, 1, 0)]),
        "SOS",
        "B.2.3",
        header=False,
    ),
    malformed(
        "a component without a scan",
        lambda: edits.remove_segment(edits.remove_segment(SEPARATE, "scan data", 1), "SOS", 1),
        "EOI",
        "B.2.1",
        header=False,
    ),
    Case(
        "the data end before a component's scan",
        lambda: SEPARATE[: edits.find(SEPARATE, "SOS", 2).offset],
        TruncatedJpegError,
        "EOI",
        "B.2.1",
        len,
        False,
    ),
    # --------------------------------------------------------------------------------------- progressive scans
    progressive_case("a DC scan with Se over 0", 0, "G.1.1.1.1", Se=5),
    progressive_case("a band that ends before it begins", 2, "G.1.1.1.1", Ss=9, Se=8),
    progressive_case("a band that ends at 64", 2, "G.1.1.1.1", Se=64),
    progressive_case("a band of two components", 2, "G.1.1.1.1", selectors=[(1, 0, 0), (2, 0, 0)]),
    progressive_case("Al of 14", 0, "B.2.3", Al=14),
    progressive_case("a refinement of two bits at once", 1, "G.1.1.1.2", Ah=2),
    progressive_case("a first scan that says it refines", 0, "G.1.1.1.2", Ah=2),
    progressive_case("a refinement that skips a bit", 4, "G.1.1.1.2", Ah=3, Al=2),
    progressive_case("a band coded twice", 4, "G.1.1.1.2", Ah=0, Al=0),
    progressive_case("AC before DC", 0, "G.1.1.1.1", selectors=[(1, 0, 0)], Ss=1, Se=63),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_broken_rule_is_named_with_its_place_and_clause(case: Case) -> None:
    data = case.make()
    with pytest.raises(JpegError) as caught:
        read_coefficients(data)
    error = caught.value
    assert (type(error), error.segment, error.clause) == (case.error, case.segment, case.clause), str(error)
    if case.at is not None:
        assert error.offset_bytes == case.at(data), str(error)
    assert f"at byte {error.offset_bytes}: " in str(error)
    assert f"(T.81 {case.clause})" in str(error)
    if case.header:
        with pytest.raises(case.error) as of_header:
            read_header(data)
        assert str(of_header.value) == str(error)
        with pytest.raises(case.error):  # nothing can be kept
            read_coefficients(data, damage="keep")
    else:
        header = read_header(data)
        kept = read_coefficients(data, damage="keep")
        assert str(kept.damage) == str(error)
        assert kept.header == header


UNSUPPORTED = {
    "SOF3": "lossless",
    "SOF5": "hierarchical",
    "SOF6": "hierarchical",
    "SOF7": "hierarchical",
    "SOF11": "lossless",
    "SOF13": "hierarchical",
    "SOF14": "hierarchical",
    "SOF15": "hierarchical",
    "SOF55": "JPEG-LS",
}


@pytest.mark.parametrize(("sof", "word"), UNSUPPORTED.items())
def test_other_process_is_unsupported_by_name(sof: str, word: str) -> None:
    data = edits.rename_segment(BASELINE, "SOF0", sof)
    for read in (read_header, read_coefficients):
        with pytest.raises(UnsupportedJpegError, match=word) as caught:
            read(data)
        assert caught.value.offset_bytes == at(sof)(data)


def test_hierarchical_file_is_unsupported_at_its_first_marker() -> None:
    data = edits.insert_segment(BASELINE, "DHP", edits.find(BASELINE, "SOF0").body, before="SOF")
    with pytest.raises(UnsupportedJpegError, match="hierarchical") as caught:
        read_header(data)
    assert caught.value.offset_bytes == at("DHP")(data)
