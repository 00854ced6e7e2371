"""The drop-ins for jpeg2dct, jpegio and jpeglib give what these packages give, and the truth where those are wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import jpegfreq.compat
from jpegfreq import Coefficients, read_coefficients
from jpegfreq.compat import jpegio, jpeglib
from jpegfreq.compat.jpeg2dct.numpy import load, loads
from tests import edits
from tests.generate import random_image
from tests.images import make_jpeg, segment, with_segments
from tests.support import data_files
from tests.writer import write

# The orientation is 6.
EXIF = segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")
FILES = {
    "4:2:0": make_jpeg(37, 61, subsampling="4:2:0"),
    "4:2:2 with restart markers": make_jpeg(37, 61, subsampling="4:2:2", restart_marker_rows=1),
    "4:4:4, EXIF, comment": with_segments(make_jpeg(48, 32, subsampling="4:4:4"), EXIF, segment(0xFE, b"hello")),
    "grey": make_jpeg(37, 61, mode="L"),
    "CMYK": make_jpeg(37, 61, mode="CMYK"),
    "progressive": make_jpeg(37, 61, subsampling="4:2:0", progressive=True),
    "best tables": make_jpeg(80, 48, quality=95, optimize=True),
}


@pytest.fixture(params=FILES)
def photo(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(FILES[request.param])
    return path


def flat(plane: np.ndarray) -> np.ndarray:
    high, wide = plane.shape[:2]
    return np.block([[plane[y, x] for x in range(wide)] for y in range(high)])


def assert_same_image(found: Coefficients, wanted: Coefficients) -> None:
    assert len(found.planes) == len(wanted.planes)
    assert found.header.color == wanted.header.color
    for side in ("height", "width"):
        assert getattr(found.header, side) == getattr(wanted.header, side)
    for a, b in zip(found.planes, wanted.planes, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(found.quantization_tables, wanted.quantization_tables, strict=True):
        np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------------------------- jpeg2dct


@pytest.mark.parametrize("name", ["4:2:0", "4:2:2 with restart markers", "4:4:4, EXIF, comment", "progressive"])
def test_jpeg2dct_returns_the_coefficients_of_the_file(name: str, tmp_path: Path) -> None:
    image = read_coefficients(FILES[name])
    quantized, dequantized = loads(FILES[name], normalized=False), loads(FILES[name])
    assert isinstance(quantized, list)
    for c, plane in enumerate(image.planes):
        shape = (*plane.shape[:2], 64)
        assert quantized[c].dtype == dequantized[c].dtype == np.int16
        np.testing.assert_array_equal(quantized[c], plane.reshape(shape))
        np.testing.assert_array_equal(dequantized[c], (plane * image.quantization_tables[c]).reshape(shape))
    (luma,) = loads(FILES[name], channels=1)
    np.testing.assert_array_equal(luma, dequantized[0])
    (tmp_path / "x.jpg").write_bytes(FILES[name])
    for found, wanted in zip(load(str(tmp_path / "x.jpg")), dequantized, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_jpeg2dct_gives_grey_images_chroma_of_half_the_size() -> None:
    y, cb, cr = loads(FILES["grey"])
    assert (y.shape, cb.shape, cr.shape) == ((8, 5, 64), (4, 3, 64), (4, 3, 64))
    assert not cb.any()
    assert not cr.any()
    assert len(loads(FILES["grey"], channels=1)) == 1


def test_jpeg2dct_raises_the_same_errors_and_never_returns_a_part(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="does not exist"):
        load(str(tmp_path / "none.jpg"))
    with pytest.raises(ValueError, match="channels should be 3 or 1"):
        loads(FILES["grey"], channels=2)
    for data, message in (
        (b"text", "SOI"),
        (FILES["4:2:0"][:-100], "data"),
        (FILES["CMYK"], "the image has the colour CMYK, and jpeg2dct's arrays are Y, Cb and Cr"),
    ):
        with pytest.raises(RuntimeError, match=message):
            loads(data)
    image = random_image(1, sof=1, height=16, width=16, sampling=((1, 1),))
    image.quantization_tables.update({n: [60000] * 64 for n in range(4)})
    image.planes[0][:] = 5
    with pytest.raises(RuntimeError, match="does not fit into 16 bits: use normalized=False"):
        loads(write(image))


# ---------------------------------------------------------------------------------- jpegio


def test_jpegio_arrays_hold_each_block_in_its_place(photo: Path) -> None:
    image, found = read_coefficients(photo), jpegio.read(str(photo))
    assert len(found.coef_arrays) == found.num_components == len(found.comp_info)
    for c, plane in enumerate(image.planes):
        assert found.coef_arrays[c].dtype == np.int32
        np.testing.assert_array_equal(found.coef_arrays[c], flat(plane))
        table = found.quant_tables[found.comp_info[c].quant_tbl_no]
        np.testing.assert_array_equal(table, image.quantization_tables[c])
        np.testing.assert_array_equal(found.get_coef_block(c, 1, 0), plane[1, 0])
        assert found.get_coef_block_array_shape(c) == plane.shape[:2]
    nonzero = sum(np.count_nonzero(plane) - np.count_nonzero(plane[:, :, 0, 0]) for plane in image.planes)
    assert found.count_nnz_ac() == nonzero


def test_jpegio_writes_what_was_read_and_changed(photo: Path, tmp_path: Path) -> None:
    before, image = read_coefficients(photo, segments=True), jpegio.read(photo)
    for optimize in (0, 1):
        image.optimize_coding = optimize
        assert jpegio.write(image, str(tmp_path / "same.jpg")) is image
        again = read_coefficients(tmp_path / "same.jpg", segments=True)
        assert_same_image(again, before)
        assert again.segments == before.segments
        assert again.header == before.header
    image.coef_arrays[0][8, 9] = 7
    image.quant_tables[0][0, 0] = 3
    image.markers += [{"type": 0xFE, "data": b"one"}, b"two"]
    image.write(tmp_path / "changed.jpg")
    changed = read_coefficients(tmp_path / "changed.jpg", segments=True)
    assert changed.planes[0][1, 1, 0, 1] == 7
    assert changed.quantization_tables[0][0, 0] == 3
    assert changed.segments is not None
    assert changed.segments[-2:] == ((0xFE, b"one"), (0xFE, b"two"))


def test_jpegio_errors_are_those_of_the_package(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    with pytest.raises(FileNotFoundError, match="no such file"):
        jpegio.read(path)
    path.write_bytes(FILES["4:2:0"][:-100])
    with pytest.raises(RuntimeError, match="data"):
        jpegio.read(path)
    path.write_bytes(FILES["4:2:0"])
    with pytest.raises(ValueError, match="flag must be DECOMPRESSED"):
        jpegio.read(path, jpegio.ZIGZAG_DCT_1D)
    with pytest.raises(NotImplementedError, match="decode pixels with Pillow"):
        jpegio.read(path, read_spatial=True)
    with pytest.raises(RuntimeError, match="no JPEG has been read yet"):
        jpegio.DecompressedJpeg().write(path)
    image = jpegio.read(path)
    for value, message in ((40000, "must be from -32768 to 32767"), (9000, "frequency")):
        image.coef_arrays[0][0, 1] = value
        with pytest.raises(RuntimeError, match=message):
            image.write(tmp_path / "y.jpg")
    image.arith_code = 1
    with pytest.raises(RuntimeError, match="set arith_code = 0 for Huffman codes"):
        image.write(tmp_path / "y.jpg")
    assert not (tmp_path / "y.jpg").exists()


def test_jpegio_drop_in_equals_the_package(photo: Path, tmp_path: Path) -> None:
    package = pytest.importorskip("jpegio")
    theirs, ours = package.read(str(photo)), jpegio.read(str(photo))
    for name in [
        "image_width",
        "image_height",
        "image_components",
        "image_color_space",
        "num_components",
        "jpeg_color_space",
        "optimize_coding",
        "progressive_mode",
        "restart_interval",
        "arith_code",
        "data_precision",
        "max_h_samp_factor",
        "max_v_samp_factor",
        "markers",
    ]:
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("coef_arrays", "quant_tables"):
        for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    for name in ("ac_huff_tables", "dc_huff_tables"):
        for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_array_equal(a["counts"], b["counts"])
            np.testing.assert_array_equal(a["symbols"], b["symbols"])
    for a, b in zip(ours.comp_info, theirs.comp_info, strict=True):
        assert all(getattr(b, name) == value for name, value in vars(a).items())
    package.write(theirs, str(tmp_path / "theirs.jpg"))
    jpegio.write(ours, str(tmp_path / "ours.jpg"))
    assert_same_image(read_coefficients(tmp_path / "ours.jpg"), read_coefficients(tmp_path / "theirs.jpg"))


def test_jpegio_lists_tables_that_no_component_uses(tmp_path: Path) -> None:
    """`quant_tbl_no` is an index for programs that read files whose tables have no gap in their numbers."""
    data = make_jpeg(37, 61, mode="L")
    for number, wide in ((3, True), (2, False)):
        values = np.arange(1, 65, dtype=">u2" if wide else np.uint8)
        data = edits.insert_segment(data, "DQT", bytes([16 * wide + number]) + values.tobytes())
    (tmp_path / "x.jpg").write_bytes(data)
    image = jpegio.read(tmp_path / "x.jpg")
    assert len(image.quant_tables) == 3
    assert image.comp_info[0].quant_tbl_no == 0
    for table in image.quant_tables[1:]:
        assert table[0].tolist() == [1, 2, 6, 7, 15, 16, 28, 29]
    image.write(tmp_path / "y.jpg")
    assert_same_image(read_coefficients(tmp_path / "y.jpg"), read_coefficients(data))
    package = pytest.importorskip("jpegio")
    for a, b in zip(package.read(str(tmp_path / "x.jpg")).quant_tables, image.quant_tables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.long
def test_jpegio_drop_in_equals_the_package_on_odd_files() -> None:
    package = pytest.importorskip("jpegio")
    equal = 0
    for path in data_files("odd"):
        try:
            theirs, ours = package.read(str(path)), jpegio.read(path)
        except RuntimeError:
            continue
        for name in ("coef_arrays", "quant_tables"):
            for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
                np.testing.assert_array_equal(a, b, err_msg=path.name)
        for name in ("jpeg_color_space", "progressive_mode", "restart_interval", "data_precision"):
            assert getattr(ours, name) == getattr(theirs, name), (path.name, name)
        equal += 1
    assert equal > 300


# ---------------------------------------------------------------------------------- jpeglib


def test_jpeglib_reads_and_writes_every_component(photo: Path, tmp_path: Path) -> None:
    before, image = read_coefficients(photo), jpeglib.read_dct(photo)
    assert (image.height, image.width) == (before.header.height, before.header.width)
    for c, plane in enumerate(before.planes):
        np.testing.assert_array_equal((image.Y, image.Cb, image.Cr, image.K)[c], plane)
        np.testing.assert_array_equal(image.get_component_qt(c), before.quantization_tables[c])
        assert (image.height_in_blocks(c), image.width_in_blocks(c)) == plane.shape[:2]
    changed = image.copy() + [np.ones(plane.shape, int) for plane in before.planes]
    changed.write_dct(tmp_path / "changed.jpg")
    again = read_coefficients(tmp_path / "changed.jpg")
    for plane, after in zip(before.planes, again.planes, strict=True):
        np.testing.assert_array_equal(after, plane + 1)  # jpeglib itself keeps the old K
    np.testing.assert_array_equal(image.Y, before.planes[0])
    image.write_dct()  # over the file it was read from
    assert_same_image(read_coefficients(photo), before)
    assert read_coefficients(photo).header.orientation == before.header.orientation


def test_jpeglib_makes_images_of_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y, cb, cr, k = (rng.integers(-40, 40, (*shape, 8, 8)) for shape in ((5, 7), (3, 4), (3, 4), (5, 7)))
    for planes, factors in (((y,), [[1, 1]]), ((y, cb, cr), [[2, 2], [1, 1], [1, 1]]), ((y, y, y), [[1, 1]] * 3)):
        image = jpeglib.from_dct(*planes, qt=75)
        assert image.samp_factor.tolist() == factors
        image.write_dct(tmp_path / "x.jpg")
        again = read_coefficients(tmp_path / "x.jpg")
        for plane, wanted in zip(again.planes, planes, strict=True):
            np.testing.assert_array_equal(plane, wanted)
        assert again.quantization_tables[0][0, :3].tolist() == [8, 6, 5]  # libjpeg's at quality 75
    image = jpeglib.from_dct(y, cb, cr, k, qt=np.arange(1, 257).reshape(4, 8, 8).clip(max=255))
    assert image.quant_tbl_no.tolist() == [0, 1, 2, 3]
    image.write_dct(tmp_path / "x.jpg")
    again = read_coefficients(tmp_path / "x.jpg")
    assert again.header.color == "YCCK"
    np.testing.assert_array_equal(again.planes[3], k)
    with pytest.raises(OSError, match="no destination file"):
        image.write_dct()
    with pytest.raises(OSError, match="both Cb and Cr are needed"):
        jpeglib.from_dct(y, cb)


def test_jpeglib_takes_names_of_samplings_qualities_and_flags(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(FILES["4:2:0"])
    image = jpeglib.read_dct(path)
    image.samp_factor = "4:2:0"
    image.write_dct(tmp_path / "named.jpg", quality=50)
    image.write_dct(tmp_path / "best.jpg", flags=["+OPTIMIZE_CODING"])
    assert read_coefficients(tmp_path / "named.jpg").quantization_tables[1][0, :4].tolist() == [17, 18, 24, 47]
    assert (tmp_path / "best.jpg").stat().st_size < (tmp_path / "named.jpg").stat().st_size
    assert jpeglib.Jab_to_factors((4, 1, 1)) == [[1, 4], [1, 1], [1, 1]]
    with jpeglib.version("8d"):
        assert jpeglib.version.get() == "8d"
    assert jpeglib.version.get() == "6b"


def test_jpeglib_errors_are_those_of_the_package(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    with pytest.raises(FileNotFoundError):
        jpeglib.read_dct(path)
    path.write_bytes(b"text")
    with pytest.raises(OSError, match="reading info of"):
        jpeglib.read_dct(path)
    path.write_bytes(FILES["4:2:0"][:-100])
    with pytest.raises(OSError, match=r"reading of .* DCT failed: .*data"):
        jpeglib.read_dct(path).Y.any()
    path.write_bytes(FILES["4:2:0"])
    image = jpeglib.read_dct(path)
    image.Y = image.Y.copy()
    image.Y[1, 2, 0, 3] = 5000
    with pytest.raises(OSError, match=r"component 0, block \(1, 2\), frequency \(v=0, u=3\): 5000"):
        image.write_dct(tmp_path / "y.jpg")
    image.Cb = None
    image.content = None
    with pytest.raises(OSError, match="needs 3 components, and one is None"):
        image.write_dct(tmp_path / "y.jpg")


def test_tables_that_a_file_redefines_stay_with_their_components(tmp_path: Path) -> None:
    redefined = 0
    for seed in range(40):
        image = random_image(seed, sof=0, height=24, width=24, sampling=((1, 1), (1, 1), (1, 1)))
        if any(scan.quantization_tables for scan in image.scans[1:]):
            redefined += 1
            (tmp_path / "x.jpg").write_bytes(write(image, seed))
            before = read_coefficients(tmp_path / "x.jpg")
            found = jpeglib.read_dct(tmp_path / "x.jpg")
            for c, table in enumerate(before.quantization_tables):
                np.testing.assert_array_equal(found.get_component_qt(c), table)
            jpegio.read(tmp_path / "x.jpg").write(tmp_path / "y.jpg")
            after = read_coefficients(tmp_path / "y.jpg").quantization_tables
            for a, b in zip(before.quantization_tables, after, strict=True):
                np.testing.assert_array_equal(a, b)
    assert redefined > 2


def test_jpeglib_drop_in_writes_the_same_bytes_as_the_package(photo: Path, tmp_path: Path) -> None:
    package = pytest.importorskip("jpeglib")
    theirs, ours = package.read_dct(str(photo)), jpeglib.read_dct(str(photo))
    for name in [
        "Y",
        "Cb",
        "Cr",
        "K",
        "qt",
        "quant_tbl_no",
        "block_dims",
        "samp_factor",
        "height",
        "width",
        "num_scans",
        "progressive_mode",
        "num_components",
        "has_black",
        "has_chrominance",
        "num_markers",
    ]:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), name)
    assert [(str(m.type), m.length, m.content) for m in ours.markers or ()] == [
        (str(m.type), m.length, m.content) for m in theirs.markers
    ]
    assert str(ours.jpeg_color_space) == str(theirs.jpeg_color_space)
    for a, b in zip(ours.huffmans or (), theirs.huffmans, strict=True):
        assert set(a) == set(b)
        for kind in a:
            np.testing.assert_array_equal(a[kind].bits, b[kind].bits)
            np.testing.assert_array_equal(a[kind].values, b[kind].values)
    for options in ({}, {"quality": 60}):
        theirs.write_dct(str(tmp_path / "theirs.jpg"), **options)
        ours.write_dct(str(tmp_path / "ours.jpg"), **options)
        assert (tmp_path / "ours.jpg").read_bytes() == (tmp_path / "theirs.jpg").read_bytes()


def test_files_of_several_scans_keep_their_tables(tmp_path: Path) -> None:
    # An MCU of more than ten blocks cannot be coded in one scan.
    image = random_image(5, sof=0, height=40, width=40, sampling=((4, 2), (2, 2), (1, 1)))
    (tmp_path / "x.jpg").write_bytes(write(image, 5))
    jpeglib.read_dct(tmp_path / "x.jpg").write_dct(tmp_path / "y.jpg")
    names = [each.name for each in edits.segments((tmp_path / "y.jpg").read_bytes())]
    assert names.count("SOS") > 1
    for plane, wanted in zip(read_coefficients(tmp_path / "y.jpg").planes, image.expected_planes(), strict=True):
        np.testing.assert_array_equal(plane, wanted)


# ---------------------------------------------------------------------------------- install


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """sys.modules as if none of the packages were imported."""
    for name in ("jpeg2dct", "jpeg2dct.numpy", "jpegio", "jpeglib"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    copy = dict(sys.modules)
    monkeypatch.setattr(sys, "modules", copy)
    return copy


def test_an_installed_drop_in_is_found_by_import(modules: dict[str, ModuleType]) -> None:
    for name in ("jpeg2dct", "jpegio", "jpeglib"):
        jpegfreq.compat.install(name)
        jpegfreq.compat.install(name)  # twice does no harm
    assert modules["jpeglib"] is jpeglib
    assert modules["jpegio"] is jpegio
    assert modules["jpeg2dct.numpy"].load is load
    with pytest.raises(ValueError, match="package must be"):
        jpegfreq.compat.install("pillow")


def test_a_package_that_is_imported_already_is_not_replaced(modules: dict[str, Any]) -> None:
    modules["jpeglib"] = ModuleType("jpeglib")
    with pytest.raises(RuntimeError, match="jpeglib is imported already"):
        jpegfreq.compat.install("jpeglib")


STEGANOGRAPHY = """
import sys
if sys.argv[1] == "drop-in":
    import jpegfreq.compat
    jpegfreq.compat.install("jpeglib")
import conseal
import jpeglib
import numpy as np

for name in ("uerd", "juniward", "nsF5", "ebs", "lsb"):
    image = jpeglib.read_dct(sys.argv[2])
    arguments = {"alpha": 0.4, "seed": 12345}
    if name == "lsb":
        changed = conseal.lsb.simulate(image.Y, **arguments)
    else:
        if name != "nsF5":
            arguments["qt"] = image.qt[0]
        if name == "juniward":
            pixels = conseal.tools.decompress_channel(image.Y, image.qt[0])
            arguments["x0"] = np.clip(np.round(pixels), 0, 255)
        changed = getattr(conseal, name).simulate_single_channel(y0=image.Y, **arguments)
    assert (changed != image.Y).any()
    print(name, conseal.color.num_dct(image))
    image.Y = changed
    image.write_dct(f"{sys.argv[3]}/{name}.jpg")
print(jpeglib.__name__)
"""


def test_conseal_gives_the_same_files_on_the_drop_in(tmp_path: Path) -> None:
    pytest.importorskip("conseal")
    cover = tmp_path / "cover.jpg"
    cover.write_bytes(make_jpeg(128, 96, subsampling="4:2:0"))
    printed = {}
    for kind in ("drop-in", "package"):
        (tmp_path / kind).mkdir()
        command = [sys.executable, "-W", "ignore", "-c", STEGANOGRAPHY, kind, str(cover), str(tmp_path / kind)]
        printed[kind] = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    assert printed["drop-in"][-2] == "jpegfreq.compat.jpeglib"
    assert printed["package"][-2] == "jpeglib"
    assert printed["drop-in"][:-2] == printed["package"][:-2]
    files = sorted(path.name for path in (tmp_path / "package").iterdir())
    assert len(files) == 5
    for name in files:
        assert (tmp_path / "drop-in" / name).read_bytes() == (tmp_path / "package" / name).read_bytes()
