"""write_jpeg: what it writes is read as what it was given, by us and by libjpeg; the rest is refused by name."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jpegfreq import Coefficients, read_coefficients, read_header, write_jpeg, write_jpeg_batch
from jpegfreq.structure import read_structure
from jpegfreq.writer import ScanParameters
from tests import edits
from tests.coefficient_maker import SAMPLINGS, make_coefficients
from tests.images import make_jpeg, segment, with_segments
from tests.oracle import Oracle
from tests.support import data_files, same_coefficients

JFIF = (0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
ICC = (0xE2, b"ICC_PROFILE\0\1\1" + bytes(range(200)))
COMMENT = (0xFE, b"a comment")


def adobe(transform: int) -> tuple[int, bytes]:
    return 0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform])


def exif(orientation: int, order: str = "little") -> tuple[int, bytes]:
    """An EXIF segment with the orientation among other tags, and a thumbnail's bytes after them."""

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, order)

    def entry(tag: int, kind: int, value: int) -> bytes:
        return number(tag, 2) + number(kind, 2) + number(1, 4) + (number(value, 2) + b"\0\0")

    entries = entry(0x0100, 3, 40) + entry(0x0112, 3, orientation) + entry(0x0128, 3, 2)
    tiff = (b"II" if order == "little" else b"MM") + number(42, 2) + number(8, 4) + number(3, 2) + entries
    return 0xE1, b"Exif\0\0" + tiff + bytes(4) + b"thumbnail"


def assert_same(written: bytes, coefficients: Coefficients) -> Coefficients:
    """Compare everything that a file keeps of an image."""
    read = read_coefficients(written, segments=True)
    assert same_coefficients(read, coefficients), (read, coefficients)
    return read


def assert_libjpeg_reads(oracle: Oracle, written: bytes, coefficients: Coefficients) -> None:
    result = oracle.read(written)
    assert result.clean, (result.error, result.warnings)
    for component, plane, table in zip(
        result.components, coefficients.planes, coefficients.quantization_tables, strict=True
    ):
        assert np.array_equal(component.plane, plane)
        assert np.array_equal(component.quantization_table, table)


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (33, 41), (64, 200)])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_what_is_written_is_read(sampling: str, size: tuple[int, int], optimize: bool, oracle: Oracle) -> None:
    coefficients = make_coefficients(*size, SAMPLINGS[sampling], seed=3)
    written = write_jpeg(coefficients, optimize=optimize)
    assert_same(written, coefficients)
    assert_libjpeg_reads(oracle, written, coefficients)


@pytest.mark.parametrize("size", [(1, 1), (33, 41), (120, 130)])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_progressive_files_are_read(sampling: str, size: tuple[int, int], oracle: Oracle) -> None:
    coefficients = make_coefficients(*size, SAMPLINGS[sampling], seed=4)
    written = write_jpeg(coefficients, process="progressive")
    assert_libjpeg_reads(oracle, written, coefficients)
    read = read_coefficients(written)
    assert read.header == dataclasses.replace(coefficients.header, process="progressive")
    assert_same(write_jpeg(read), read)
    assert write_jpeg(read, process="baseline") == write_jpeg(coefficients)


def test_runs_of_ended_bands_may_be_longer_than_their_symbol_counts(oracle: Oracle) -> None:
    """More than 32767 blocks without a new coefficient, before and after one that has some (G.1.2.2)."""
    plane = np.zeros((200, 400, 8, 8), np.int16)
    plane[0, 0, 1, 1] = plane[110, 7, 0, 1] = plane[199, 0, 7, 7] = 5
    coefficients = Coefficients.from_planes([plane], [np.ones((8, 8))], sampling=[(1, 1)], color="grey")
    written = write_jpeg(coefficients, process="progressive")
    assert_libjpeg_reads(oracle, written, coefficients)
    assert np.array_equal(read_coefficients(written).planes[0], plane)


def test_correction_bits_of_many_ended_bands_follow_their_run(oracle: Oracle) -> None:
    plane = np.zeros((20, 20, 8, 8), np.int16)
    plane[...] = np.random.default_rng(0).choice([-7, -6, -5, 5, 6, 7, 0], plane.shape)
    coefficients = Coefficients.from_planes([plane], [np.ones((8, 8))], sampling=[(1, 1)], color="grey")
    written = write_jpeg(coefficients, process="progressive")
    assert_libjpeg_reads(oracle, written, coefficients)
    assert np.array_equal(read_coefficients(written).planes[0], plane)


def test_zero_runs_in_refinements_bring_their_correction_bits(oracle: Oracle) -> None:
    rng = np.random.default_rng(1)
    plane = rng.choice([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, -1, 6, 3, 2], (30, 30, 8, 8))
    coefficients = Coefficients.from_planes([plane], [np.ones((8, 8))], sampling=[(1, 1)], color="grey")
    written = write_jpeg(coefficients, process="progressive")
    assert_libjpeg_reads(oracle, written, coefficients)
    assert np.array_equal(read_coefficients(written).planes[0], plane)


@pytest.mark.parametrize("Al", [1, 3, 6, 7, 13])
def test_scripts_may_leave_out_any_number_of_low_bits(Al: int, oracle: Oracle) -> None:
    plane = np.random.default_rng(2).integers(-16000, 16000, (5, 6, 8, 8)) >> np.arange(13, -3, -2).clip(0)
    coefficients = Coefficients.from_planes([plane], [np.ones((8, 8))], sampling=[(1, 1)], color="grey", precision=12)
    scans = [((0,), 0, 0, 0, Al), ((0,), 1, 20, 0, Al), ((0,), 21, 63, 0, 0)]
    scans += [((0,), 0, 0, bit + 1, bit) for bit in range(Al - 1, -1, -1)]
    scans += [((0,), 1, 20, bit + 1, bit) for bit in range(Al - 1, -1, -1)]
    written = write_jpeg(coefficients, process="progressive", scans=scans)
    assert_libjpeg_reads(oracle, written, coefficients)
    assert np.array_equal(read_coefficients(written).planes[0], plane)


def test_components_with_one_identifier_cannot_be_told_apart_by_scans() -> None:
    coefficients = make_coefficients(16, 16, SAMPLINGS["4:2:0"])
    components = tuple(dataclasses.replace(c, identifier=1) for c in coefficients.header.components)
    coefficients = dataclasses.replace(
        coefficients, header=dataclasses.replace(coefficients.header, components=components)
    )
    assert_same(write_jpeg(coefficients), coefficients)
    with pytest.raises(ValueError, match="components with one identifier"):
        write_jpeg(coefficients, process="progressive")


@pytest.mark.parametrize("rows", [0, 1, 2, 5])
@pytest.mark.parametrize("process", ["baseline", "progressive", "arithmetic extended", "arithmetic progressive"])
@pytest.mark.parametrize("sampling", ["4:2:0", "grey of 2x2", "4:1:0"])
def test_restart_markers_stand_after_so_many_rows(sampling: str, process: str, rows: int, oracle: Oracle) -> None:
    coefficients = make_coefficients(150, 100, SAMPLINGS[sampling])
    written = write_jpeg(coefficients, process=process, restart_rows=rows)
    header = read_header(written)
    wide = 13 if len(SAMPLINGS[sampling]) == 1 else -(-100 // (8 * SAMPLINGS[sampling][0][0]))
    first_scan_wide = wide if sampling != "4:1:0" else 4
    assert header.restart_interval == rows * first_scan_wide
    read = read_coefficients(written)
    assert all(np.array_equal(a, b) for a, b in zip(read.planes, coefficients.planes, strict=True))
    result = oracle.read(written)
    assert result.clean, (result.error, result.warnings)
    assert all(np.array_equal(c.plane, plane) for c, plane in zip(result.components, read.planes, strict=True))
    assert read_header(write_jpeg(read)).restart_interval == header.restart_interval


def test_restart_interval_of_a_header_is_kept_and_may_end_within_a_row(oracle: Oracle) -> None:
    coefficients = make_coefficients(100, 100, SAMPLINGS["4:2:0"])
    header = dataclasses.replace(coefficients.header, restart_interval=5)
    coefficients = dataclasses.replace(coefficients, header=header)
    written = write_jpeg(coefficients)
    assert_same(written, coefficients)
    assert_libjpeg_reads(oracle, written, coefficients)


def test_an_mcu_of_more_than_ten_blocks_makes_a_scan_per_component() -> None:
    coefficients = make_coefficients(40, 70, ((4, 2), (2, 2), (1, 1)))
    written = write_jpeg(coefficients)
    assert len(read_structure(written).scans) == 3
    assert_same(written, coefficients)


def test_scans_are_written_as_given(oracle: Oracle) -> None:
    coefficients = make_coefficients(40, 70, SAMPLINGS["4:2:0"])
    written = write_jpeg(coefficients, scans=[ScanParameters((0,)), ((1, 2),)])
    assert [[c.index for c in scan.components] for scan in read_structure(written).scans] == [[0], [1, 2]]
    assert_same(written, coefficients)
    assert_libjpeg_reads(oracle, written, coefficients)


@pytest.mark.parametrize(
    ("scans", "message"),
    [
        ([], "scans must have at least one scan"),
        ([((0, 1),)], "leave out coefficients"),
        ([((0, 1, 2),), ((0,),)], "component 0, counted from 0, has two scans"),
        ([((1, 0, 2),)], "not in the order of the frame"),
        ([((0, 1, 3),)], "no component 3"),
        ([((),)], "a scan of 0 components"),
        ([((0, 1, 2), 0, 5)], "a part of the coefficients"),
        ([((0, 1, 2), 1)], "a part of the coefficients"),
        ([(1, 2)], r"scans\[0\] must be"),
        ([((0, 1, 2), 0, 63, 0, 256)], r"scans\[0\] must be"),
        ([((0,),)] * 300, "more than 256 scans"),
    ],
)
def test_scans_that_break_a_rule_are_refused(scans: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_jpeg(make_coefficients(40, 70, SAMPLINGS["4:2:0"]), scans=scans)


def test_optimal_tables_make_smaller_files_and_no_code_of_all_ones() -> None:
    coefficients = read_coefficients(make_jpeg(200, 200, quality=90))
    written = write_jpeg(coefficients)
    assert len(written) < len(write_jpeg(coefficients, optimize=False))
    for table in read_structure(written).scans[0].huffman_tables:
        assert sum(count << (16 - length) for length, count in enumerate(table.code_counts, 1)) < 1 << 16


def test_codes_are_limited_to_16_bits(oracle: Oracle) -> None:
    """Counts that grow a little faster than Fibonacci numbers would make longer codes."""
    symbols = [(run, size) for size in range(1, 7) for run in range(3)]
    blocks = []
    a, b = 1, 1
    for run, size in symbols:
        block = np.zeros(64, np.int16)
        block[[1, 8, 16][run]] = 1 << (size - 1)
        blocks += [block] * a
        a, b = b, a + b + 1
    plane = np.array(blocks[: len(blocks) // 100 * 100]).reshape(100, -1, 8, 8)
    coefficients = Coefficients.from_planes([plane], [np.ones((8, 8))], sampling=[(1, 1)], color="grey")
    written = write_jpeg(coefficients)
    assert read_structure(written).scans[0].huffman_tables[1].code_counts[15] > 1
    assert_same(written, coefficients)
    assert_libjpeg_reads(oracle, written, coefficients)


def test_segments_are_kept_in_their_order() -> None:
    segments = (JFIF, exif(6), ICC, COMMENT, (0xE0, b"JFXX\0"), COMMENT, (0xE5, b""), (0xFE, b"x" * 65533))
    data = with_segments(edits.remove_segment(make_jpeg(), "APP0"), *(segment(*one) for one in segments))
    coefficients = read_coefficients(data, segments=True)
    assert coefficients.segments == segments
    assert coefficients.header.orientation == 6
    assert assert_same(write_jpeg(coefficients), coefficients).segments == segments


def test_segments_that_nobody_asked_for_are_not_read() -> None:
    assert read_coefficients(make_jpeg()).segments is None


def test_a_file_without_segments_stays_without() -> None:
    coefficients = read_coefficients(edits.remove_segment(make_jpeg(), "APP0"), segments=True)
    assert coefficients.segments == ()
    assert assert_same(write_jpeg(coefficients), coefficients).segments == ()


def test_stripped_files_have_the_segment_of_their_colour_alone() -> None:
    data = with_segments(make_jpeg(), segment(*ICC), segment(*COMMENT))
    read = read_coefficients(write_jpeg(read_coefficients(data, segments=True), segments="strip"), segments=True)
    assert read.segments == (JFIF,)


def test_segments_may_be_given() -> None:
    coefficients = read_coefficients(make_jpeg(), segments=True)
    read = read_coefficients(write_jpeg(coefficients, segments=[COMMENT, ICC]), segments=True)
    assert read.segments == (COMMENT, ICC)


@pytest.mark.parametrize(
    ("segments", "error", "message"),
    [
        ([(0xDB, b"")], ValueError, "neither APPn nor COM"),
        ([(0xFE, b"x" * 65534)], ValueError, "65534 bytes"),
        ([(300, b"")], ValueError, r"segments\[0\]\[0\] must be from 0 to 255"),
        ([0xFE], TypeError, r"segments\[0\] must be \(marker, bytes\)"),
        ([(0xFE, "text")], TypeError, r"segments\[0\]\[1\] must be a bytes"),
        ("all", ValueError, 'segments must be "keep" or "strip"'),
        (5, TypeError, 'segments must be "keep", "strip" or a list'),
        (None, TypeError, 'segments must be "keep", "strip" or a list of .*, not None'),
        ([adobe(0)], ValueError, "tell another colour"),
    ],
)
def test_segments_that_cannot_be_written_are_refused(segments: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        write_jpeg(make_coefficients(8, 8, SAMPLINGS["4:2:0"]), segments=segments)


@pytest.mark.parametrize("order", ["little", "big"])
def test_the_orientation_of_the_header_is_set_in_the_exif_segment(order: str) -> None:
    data = with_segments(make_jpeg(), segment(*exif(6, order)), segment(*exif(3, order)))
    coefficients = read_coefficients(data, segments=True)
    upright = dataclasses.replace(coefficients, header=dataclasses.replace(coefficients.header, orientation=1))
    read = read_coefficients(write_jpeg(upright), segments=True)
    assert read.header.orientation == 1
    assert read.segments == (exif(1, order), exif(3, order), *coefficients.segments[2:])


def test_an_orientation_without_an_exif_segment_gets_one() -> None:
    coefficients = make_coefficients(8, 16, SAMPLINGS["4:2:0"], orientation=8)
    assert read_header(write_jpeg(coefficients)).orientation == 8
    assert Image.open(io.BytesIO(write_jpeg(coefficients))).getexif()[0x0112] == 8


def test_an_exif_segment_without_the_tag_cannot_take_an_orientation() -> None:
    coefficients = make_coefficients(8, 16, SAMPLINGS["4:2:0"], orientation=8)
    with pytest.raises(ValueError, match="no tag for the orientation 8"):
        write_jpeg(coefficients, segments=[(0xE1, b"Exif\0\0II\x2a\0\x08\0\0\0\0\0")])


@pytest.mark.parametrize(
    ("color", "count"), [("grey", 1), ("unknown", 2), ("YCbCr", 3), ("RGB", 3), ("CMYK", 4), ("YCCK", 4)]
)
def test_every_colour_is_read_back(color: str, count: int, oracle: Oracle) -> None:
    planes = [np.full((2, 3, 8, 8), c, np.int16) for c in range(count)]
    tables = [np.full((8, 8), 1 + c % 2) for c in range(count)]
    coefficients = Coefficients.from_planes(planes, tables, sampling=[(1, 1)] * count, color=color)
    written = write_jpeg(coefficients)
    assert_same(written, coefficients)
    assert oracle.read(written).color == color.lower()
    assert oracle.read(write_jpeg(coefficients, segments=[COMMENT])).color == color.lower()


def test_the_tables_of_components_that_share_a_number_may_differ() -> None:
    coefficients = make_coefficients(16, 16, SAMPLINGS["4:2:0"])
    components = tuple(dataclasses.replace(c, quantization_table_id=3) for c in coefficients.header.components)
    header = dataclasses.replace(coefficients.header, components=components)
    coefficients = dataclasses.replace(coefficients, header=header)
    read = read_coefficients(write_jpeg(coefficients))
    for a, b in zip(read.quantization_tables, coefficients.quantization_tables, strict=True):
        assert np.array_equal(a, b)


def test_keep_makes_an_extended_file_where_baseline_cannot_hold_the_tables(oracle: Oracle) -> None:
    coefficients = make_coefficients(16, 16, SAMPLINGS["4:2:0"])
    tables = (np.full((8, 8), 300, np.uint16), *coefficients.quantization_tables[1:])
    coefficients = dataclasses.replace(coefficients, quantization_tables=tables)
    written = write_jpeg(coefficients)
    assert read_header(written).process == "extended"
    assert_libjpeg_reads(oracle, written, coefficients)
    with pytest.raises(ValueError, match="steps of at most 255, not 300"):
        write_jpeg(coefficients, process="baseline")


def test_twelve_bits_hold_larger_values_and_need_optimal_tables() -> None:
    plane = np.zeros((1, 4, 8, 8), np.int16)
    plane[0, :, 0, 0] = -16384, 16383, -16384, 0
    plane[0, :, 7, 7] = 16383, -16383, 1, 0
    coefficients = Coefficients.from_planes(
        [plane], [np.ones((8, 8))], sampling=[(1, 1)], color="grey", precision=12, size=(8, 31)
    )
    assert_same(write_jpeg(coefficients), coefficients)
    with pytest.raises(ValueError, match="for sequential Huffman files with 8 bits"):
        write_jpeg(coefficients, optimize=False)
    with pytest.raises(ValueError, match="baseline files have 8 bits per sample, not 12"):
        write_jpeg(coefficients, process="baseline")


@pytest.mark.parametrize("process", ["baseline", "progressive", "arithmetic extended", "arithmetic progressive"])
@pytest.mark.parametrize(
    ("value", "frequency", "message"),
    [
        (
            1024,
            (0, 1),
            r"component 1, block \(2, 3\), frequency \(v=0, u=1\): 1024 is an AC coefficient of more than 10",
        ),
        (-1024, (7, 7), r"component 1, block \(2, 3\), frequency \(v=7, u=7\): -1024 is an AC coefficient"),
        (-32768, (7, 0), r"component 1, block \(2, 3\), frequency \(v=7, u=0\): -32768 is an AC coefficient"),
        (4200, (0, 0), r"component 1, block \(2, 3\), frequency \(v=0, u=0\): \d+ is a DC difference of more than 11"),
        (-32768, (0, 0), r"-\d+ is a DC difference of more than 11 bits \(T.81 F.1.2.1.1\)"),
    ],
)
def test_a_value_out_of_range_is_named(value: int, frequency: tuple[int, int], message: str, process: str) -> None:
    coefficients = make_coefficients(80, 80, SAMPLINGS["4:2:0"])
    coefficients.planes[1][...] = 0
    coefficients.planes[1][(2, 3, *frequency)] = value
    with pytest.raises(ValueError, match=message):
        write_jpeg(coefficients, process=process)


def test_dc_differences_are_what_is_limited() -> None:
    """Neighbours of 2000 and 2047 are far from zero, and near each other."""
    plane = np.zeros((1, 3, 8, 8), np.int16)
    plane[0, :, 0, 0] = 2000, 2047, 30
    coefficients = make_coefficients(8, 24, SAMPLINGS["grey"])
    coefficients.planes[0][...] = plane
    assert_same(write_jpeg(coefficients), coefficients)


def test_views_and_read_only_planes_are_written() -> None:
    coefficients = make_coefficients(24, 40, SAMPLINGS["grey"])
    turned = np.ascontiguousarray(coefficients.planes[0][:, ::-1])[:, ::-1]
    turned.flags.writeable = False
    assert not turned.flags.c_contiguous
    assert write_jpeg(dataclasses.replace(coefficients, planes=(turned,))) == write_jpeg(coefficients)


def hostile() -> dict[str, tuple[Coefficients, str]]:
    good = make_coefficients(16, 24, SAMPLINGS["4:2:0"])
    header, planes, tables = good.header, good.planes, good.quantization_tables

    def with_header(**changes: object) -> Coefficients:
        return dataclasses.replace(good, header=dataclasses.replace(header, **changes))

    def with_component(**changes: object) -> Coefficients:
        components = (dataclasses.replace(header.components[0], **changes), *header.components[1:])
        return with_header(components=components)

    return {
        "no components": (with_header(components=()), "1 to 4 components, not 0"),
        "five components": (
            dataclasses.replace(
                with_header(components=header.components[:1] * 5),
                planes=planes[:1] * 5,
                quantization_tables=tables[:1] * 5,
            ),
            "1 to 4 components",
        ),
        "a plane too few": (dataclasses.replace(good, planes=planes[:2]), "3 components, 2 planes"),
        "a table too few": (dataclasses.replace(good, quantization_tables=()), "0 quantization tables"),
        "float planes": (dataclasses.replace(good, planes=(planes[0] * 1.0, *planes[1:])), "array of int16"),
        "no arrays": (dataclasses.replace(good, planes=([], *planes[1:])), "array of int16"),
        "flat blocks": (dataclasses.replace(good, planes=(planes[0].reshape(-1, 64), *planes[1:])), "the shape"),
        "a smaller plane": (dataclasses.replace(good, planes=(planes[0][:1], *planes[1:])), "1 x 3 blocks"),
        "tables of int64": (
            dataclasses.replace(good, quantization_tables=(tables[0].astype(int), *tables[1:])),
            "uint16",
        ),
        "a negative height": (with_header(height=-1), "height"),
        "a huge height": (with_header(height=2**70), "height"),
        "no height": (with_header(height=0), "a height of 0"),
        "a width over 16 bits": (with_header(width=65536), "65536"),
        "another width": (with_header(width=3000), "not the blocks that its size needs"),
        "a precision of 10": (with_header(precision=10), "10 bits"),
        "an unknown process": (with_header(process="wavelet"), "wavelet"),
        "a lossless process": (with_header(process="lossless"), "this process cannot be written"),
        "an unknown colour": (with_header(color="sepia"), "sepia"),
        "a colour that does not fit": (with_header(color="CMYK"), "another colour"),
        "orientation 9": (with_header(orientation=9), "orientation of 9"),
        "a restart interval over 16 bits": (
            with_header(restart_interval=65536),
            "restart_interval must be from",
        ),
        "a height that is no number": (with_header(height="16"), "whole number"),
        "a sampling factor of 0": (with_component(horizontal_sampling_factor=0), "sampling factors"),
        "a sampling factor of 5": (with_component(vertical_sampling_factor=5), "sampling factors"),
        "a negative table number": (with_component(quantization_table_id=-1), "quantization_table_id"),
        "a table number over 8 bits": (with_component(quantization_table_id=999), "quantization_table_id"),
        "an identifier over 8 bits": (with_component(identifier=256), "identifier"),
        "other blocks": (with_component(blocks_high=1 << 31), "blocks"),
    }


@pytest.mark.parametrize("name", hostile())
def test_coefficients_that_make_no_sense_are_refused(name: str) -> None:
    coefficients, message = hostile()[name]
    with pytest.raises((ValueError, TypeError), match=message):
        write_jpeg(coefficients)
    with pytest.raises((ValueError, TypeError), match=message):
        write_jpeg_batch([coefficients], threads=2)


def test_anything_else_than_coefficients_is_refused() -> None:
    with pytest.raises(TypeError, match="coefficients must be a Coefficients, not b'' "):
        write_jpeg(b"")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"process": "lossless"}, ValueError, "process must be"),
        ({"optimize": 1}, TypeError, "optimize must be True or False"),
        ({"restart_rows": -1}, ValueError, "restart_rows must be from 0 to 65535"),
        ({"restart_rows": 40000}, ValueError, "more than 65535 MCUs in a restart interval"),
        ({"restart_rows": 1.5}, TypeError, "restart_rows must be a whole number"),
        ({"scans": 3}, TypeError, "scans must be a list"),
    ],
)
def test_options_out_of_range_are_refused(options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        write_jpeg(make_coefficients(16, 40, SAMPLINGS["4:2:0"]), **options)


def test_the_file_is_written_whole(tmp_path: Path) -> None:
    coefficients = make_coefficients(16, 24, SAMPLINGS["4:2:0"])
    data = write_jpeg(coefficients, tmp_path / "out.jpg")
    assert (tmp_path / "out.jpg").read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["out.jpg"]
    with pytest.raises(OSError, match="cannot write"):
        write_jpeg(coefficients, tmp_path / "missing" / "out.jpg")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("process", ["baseline", "progressive"])
def test_a_batch_is_what_each_image_gives(threads: int, process: str) -> None:
    images = [make_coefficients(20 + 3 * i, 30, SAMPLINGS["4:2:0"], seed=i) for i in range(20)]
    alone = [write_jpeg(image, process=process) for image in images]
    assert write_jpeg_batch(images, process=process, threads=threads) == alone
    assert write_jpeg_batch([]) == []


def test_one_bad_image_of_a_batch_does_not_spoil_the_others() -> None:
    images = [make_coefficients(16, 16, SAMPLINGS["grey"], seed=i) for i in range(4)]
    images[1].planes[0][0, 0, 1, 1] = 5000
    images[2] = dataclasses.replace(images[2], header=dataclasses.replace(images[2].header, color="sepia"))
    results = write_jpeg_batch(images, errors="return")
    assert results[0] == write_jpeg(images[0])
    assert results[3] == write_jpeg(images[3])
    assert str(results[1]).startswith("coefficients[1]: cannot write the JPEG: component 0, block (0, 0)")
    assert str(results[2]).startswith("coefficients[2].header.color must be")
    with pytest.raises(ValueError, match=r"coefficients\[1\]: .* 5000 is an AC coefficient"):
        write_jpeg_batch(images[:2])


def assert_written_as_it_was(path: Path, oracle: Oracle, process: str = "keep") -> bool:
    """Write a file that we read, compare everything that is kept, and let libjpeg read it; False for other files."""
    try:
        coefficients = read_coefficients(path, segments=True)
    except ValueError:
        return False
    try:
        data = write_jpeg(coefficients, process=process)
    except ValueError as error:
        assert process != "keep", (path, error)
        assert "components with one identifier" in str(error), (path, error)
        return False
    read = read_coefficients(data, segments=True)
    assert read.segments == coefficients.segments, path
    if process != "keep":
        header = dataclasses.replace(coefficients.header, process=read.header.process)
        coefficients = dataclasses.replace(coefficients, header=header)
    assert same_coefficients(read, coefficients), path
    if coefficients.header.precision == 8 and coefficients.header.height * coefficients.header.width < 1 << 20:
        result = oracle.read(data)
        assert result.error is None, path
        assert not [text for text in result.warnings if "Unknown Adobe color transform" not in text], path
        pairs = zip(result.components, coefficients.planes, strict=True)
        assert all(np.array_equal(component.plane, plane) for component, plane in pairs), path
    return True


@pytest.mark.parametrize("folder", ["photos", "odd", "large"])
def test_real_files_are_written_as_they_were(folder: str, oracle: Oracle) -> None:
    """Take every third file; the next test takes all."""
    assert sum(assert_written_as_it_was(path, oracle) for path in data_files(folder)[::3]) > 0


@pytest.mark.long
@pytest.mark.parametrize(
    "process", ["keep", "extended", "progressive", "arithmetic extended", "arithmetic progressive"]
)
@pytest.mark.parametrize("folder", ["photos", "odd", "large"])
def test_every_real_file_is_written_in_every_process(folder: str, process: str, oracle: Oracle) -> None:
    counts = {"photos": 200, "odd": 405, "large": 6}
    written = sum(assert_written_as_it_was(path, oracle, process) for path in data_files(folder))
    assert written >= counts[folder] - (process.endswith("progressive"))
