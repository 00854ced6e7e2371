"""read_structure lists segments, scans and tables in the file's order."""

from __future__ import annotations

import numpy as np
import pytest

import jpegfreq
from jpegfreq import MalformedJpegError, TruncatedJpegError, UnsupportedJpegError
from jpegfreq.structure import read_structure
from tests import edits
from tests.images import make_jpeg, segment, with_segments
from tests.support import data_files


def test_segments_and_scan_data_tile_the_file() -> None:
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 2}, {"mode": "L"}):
        data = make_jpeg(**options)
        structure = read_structure(data)
        parts = [(s.offset_bytes, s.size_bytes) for s in structure.segments]
        parts += [(s.data_offset_bytes, s.data_size_bytes) for s in structure.scans]
        position = 0
        for offset, size in sorted(parts):
            assert offset == position
            position += size
        assert position == len(data)
        assert structure.header == jpegfreq.read_header(data)
        assert structure.damage is None


def test_segments_are_named() -> None:
    data = with_segments(make_jpeg(progressive=True), segment(0xFE, b"a comment"), segment(0xED, b"photo"))
    names = [s.name for s in read_structure(data).segments]
    assert names[:4] == ["SOI", "COM", "APP13", "APP0"]
    assert "SOF2" in names
    assert names.count("SOS") == 10
    assert names[-1] == "EOI"


def test_scan_of_a_sequential_file() -> None:
    [scan] = read_structure(make_jpeg(restart_marker_blocks=2)).scans
    assert [(c.index, c.dc_table, c.ac_table) for c in scan.components] == [(0, 0, 0), (1, 1, 1), (2, 1, 1)]
    assert (scan.Ss, scan.Se, scan.Ah, scan.Al, scan.restart_interval) == (0, 63, 0, 0, 2)
    assert [(t.kind, t.identifier) for t in scan.huffman_tables] == [("DC", 0), ("AC", 0), ("DC", 1), ("AC", 1)]
    for table in scan.huffman_tables:
        assert sum(table.code_counts) == len(table.values)
        assert len(table.code_counts) == 16
        assert table.offset_bytes in [
            s.offset_bytes for s in read_structure(make_jpeg(restart_marker_blocks=2)).segments
        ]


def test_scans_of_a_progressive_file_name_only_the_tables_they_need() -> None:
    scans = read_structure(make_jpeg(progressive=True)).scans
    assert scans[0].Se == 0
    assert {t.kind for t in scans[0].huffman_tables} == {"DC"}
    refinements = [s for s in scans if s.Ss == 0 and s.Ah > 0]
    assert refinements
    assert all(not s.huffman_tables for s in refinements)
    assert all({t.kind for t in s.huffman_tables} == {"AC"} for s in scans if s.Ss > 0)


def test_a_scan_never_looks_up_a_table_that_does_not_exist() -> None:
    # A sanitizer found that only the DC table was checked, and Ta = 13 was looked up.
    data = edits.set_scan(make_jpeg(progressive=True), selectors=[(1, 0, 13), (2, 0, 13), (3, 0, 13)], Se=2)
    scan = read_structure(data).scans[0]
    assert {(t.kind, t.identifier) for t in scan.huffman_tables} == {("DC", 0)}


def test_quantization_tables_are_those_of_the_coefficients() -> None:
    data = make_jpeg(quality=80)
    for ours, theirs in zip(
        read_structure(data).quantization_tables, jpegfreq.read_coefficients(data).quantization_tables, strict=True
    ):
        assert ours is not None
        np.testing.assert_array_equal(ours, theirs)


def test_damage_is_raised_or_kept() -> None:
    data = make_jpeg(progressive=True)
    second = read_structure(data).scans[1]
    damaged = data[: second.offset_bytes + 5] + b"\x07" + data[second.offset_bytes + 6 :]
    with pytest.raises(MalformedJpegError, match="SOS at byte"):
        read_structure(damaged)
    kept = read_structure(damaged, damage="keep")
    assert len(kept.scans) == 1
    assert isinstance(kept.damage, MalformedJpegError)
    with pytest.raises(TruncatedJpegError):
        read_structure(data[:50], damage="keep")


def test_scans_are_bounded() -> None:
    data = make_jpeg(mode="L")
    scan = read_structure(data).scans[0]
    sos = data[scan.offset_bytes : scan.data_offset_bytes]
    with pytest.raises(UnsupportedJpegError, match="scans"):
        read_structure(data[: scan.offset_bytes] + sos * 500)


def test_structure_of_every_photograph_is_read() -> None:
    for path in data_files("photos"):
        assert read_structure(path).segments[-1].name == "EOI", path.name
