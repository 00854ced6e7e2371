"""Lossless edits of whole images: libjpeg-turbo's jpegtran and the samples themselves are the truth."""

from __future__ import annotations

import io
import itertools
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from jpegfreq import Coefficients, blocks, read_coefficients, write_jpeg
from jpegfreq._segments import with_orientation, with_size, without_further_images, without_thumbnails
from tests.coefficient_maker import SAMPLINGS, make_coefficients
from tests.generate import Sampling, jpegtran, random_image
from tests.images import make_jpeg, segment, with_segments
from tests.resample_reference import samples_of
from tests.support import same_coefficients, tool
from tests.writer import write

TURNS: dict[str, tuple[tuple[str, ...], Callable[..., Coefficients]]] = {
    "flip horizontal": (("-flip", "horizontal"), blocks.flip_horizontal),
    "flip vertical": (("-flip", "vertical"), blocks.flip_vertical),
    "rotate 90": (("-rotate", "90"), lambda image, edge: blocks.rotate(image, 1, edge=edge)),
    "rotate 180": (("-rotate", "180"), lambda image, edge: blocks.rotate(image, 2, edge=edge)),
    "rotate 270": (("-rotate", "270"), lambda image, edge: blocks.rotate(image, -1, edge=edge)),
    "transpose": (("-transpose",), lambda image, edge: blocks.transpose(image)),
}
# Those that jpegtran writes in one scan: at most ten blocks per MCU.
FRAMES: dict[str, Sampling] = {
    "4:4:4": ((1, 1), (1, 1), (1, 1)),
    "4:2:2": ((2, 1), (1, 1), (1, 1)),
    "4:2:0": ((2, 2), (1, 1), (1, 1)),
    "4:4:0": ((1, 2), (1, 1), (1, 1)),
    "4:1:1": ((4, 1), (1, 1), (1, 1)),
    "4:1:0": ((4, 2), (1, 1), (1, 1)),
    "luma sub-sampled": ((1, 1), (2, 2), (2, 1)),
    "factors of three": ((3, 2), (2, 1), (1, 2)),
    "two components": ((2, 1), (1, 2)),
    "four components": ((2, 2), (1, 1), (1, 1), (2, 2)),
    "grey": ((1, 1),),
}
SIZES = [(32, 64), (37, 61), (64, 33), (7, 9), (1, 1)]


def jpeg_of(sampling: Sampling, height: int, width: int, seed: int = 0) -> bytes:
    image = random_image(seed, sof=0, height=height, width=width, sampling=sampling)
    for scan in image.scans:
        scan.quantization_tables.clear()  # jpegtran refuses tables that change between scans
    return write(image, seed)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("turn", TURNS)
def test_turns_leave_the_edge_as_jpegtran_does(turn: str, frame: str) -> None:
    arguments, operator = TURNS[turn]
    for height, width in SIZES:
        data = jpeg_of(FRAMES[frame], height, width)
        assert_same(operator(read_coefficients(data), edge="keep"), jpegtran(data, *arguments))


def assert_same(edited: Coefficients, wanted: bytes) -> None:
    """Compare everything but the process and restart interval, which jpegtran chooses anew, and tables' numbers."""
    other = read_coefficients(wanted)
    plain = replace(other.header, process=edited.header.process, restart_interval=edited.header.restart_interval)
    components = tuple(
        replace(theirs, quantization_table_id=ours.quantization_table_id)
        for theirs, ours in zip(plain.components, edited.header.components, strict=True)
    )
    assert same_coefficients(edited, replace(other, header=replace(plain, components=components)))


@pytest.mark.parametrize("frame", FRAMES)
def test_trimmed_turns_drop_the_edge_as_jpegtran_does(frame: str) -> None:
    for (arguments, operator), (height, width) in itertools.product(TURNS.values(), [(37, 61), (64, 33)]):
        data = jpeg_of(FRAMES[frame], height, width, 1)
        assert_same(operator(read_coefficients(data), edge="trim"), jpegtran(data, "-trim", *arguments))


def test_refused_turns_are_those_that_jpegtran_calls_imperfect() -> None:
    for frame, (arguments, operator), size in itertools.product(FRAMES.values(), TURNS.values(), SIZES[1:4]):
        data = jpeg_of(frame, *size)
        done = subprocess.run([tool("jpegtran"), "-perfect", *arguments], input=data, capture_output=True)
        if done.returncode == 0:
            assert_same(operator(read_coefficients(data), edge="refuse"), done.stdout)
        else:
            with pytest.raises(ValueError, match="without loss"):
                operator(read_coefficients(data), edge="refuse")


def test_a_grey_image_is_turned_by_single_blocks_whatever_its_sampling() -> None:
    # jpegtran calls this flip perfect, too, but then leaves the last block in its place.
    image = make_coefficients(24, 40, ((2, 2),))
    flipped = blocks.flip_horizontal(image)
    before, after = (samples_of(c.planes[0], c.quantization_tables[0]) for c in (image, flipped))
    np.testing.assert_allclose(after, before[:, ::-1], atol=1e-9)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_whole_turns_turn_the_samples_of_every_component(sampling: str) -> None:
    image = make_coefficients(96, 48 if "three" in sampling else 64, SAMPLINGS[sampling])
    for turn, pixels in (
        (blocks.flip_horizontal, lambda x: x[:, ::-1]),
        (blocks.flip_vertical, lambda x: x[::-1]),
        (blocks.transpose, lambda x: x.T),
        (lambda c: blocks.rotate(c, 1), lambda x: np.rot90(x, -1)),
        (lambda c: blocks.rotate(c, 2), lambda x: np.rot90(x, -2)),
        (lambda c: blocks.rotate(c, 3), lambda x: np.rot90(x, -3)),
    ):
        turned = turn(image)
        for c, plane in enumerate(image.planes):
            before = samples_of(plane, image.quantization_tables[c])
            after = samples_of(turned.planes[c], turned.quantization_tables[c])
            np.testing.assert_allclose(after, pixels(before), atol=1e-9)


def test_trimming_refuses_to_leave_nothing() -> None:
    with pytest.raises(ValueError, match="nothing is left of 9 columns if they are trimmed to whole MCUs of 16"):
        blocks.flip_horizontal(make_coefficients(32, 9, SAMPLINGS["4:2:0"]), edge="trim")


@pytest.mark.parametrize("frame", FRAMES)
def test_crops_are_those_of_jpegtran(frame: str) -> None:
    data = jpeg_of(FRAMES[frame], 75, 93, 2)
    image = read_coefficients(data)
    for top, left, height, width in [(0, 0, 75, 93), (32, 32, 20, 33), (33, 47, 42, 46), (74, 92, 1, 1), (5, 0, 8, 8)]:
        cut = jpegtran(data, "-crop", f"{width}x{height}+{left}+{top}")
        assert_same(blocks.crop(image, (top, left, height, width), edge="keep"), cut)


def test_crops_that_begin_inside_an_mcu_are_refused_or_trimmed() -> None:
    image = make_coefficients(64, 64, SAMPLINGS["4:2:2"])
    with pytest.raises(ValueError, match="cannot crop at left 8 without loss: 8 is not a multiple of 16, the MCU's"):
        blocks.crop(image, (8, 8, 20, 20))
    trimmed = blocks.crop(image, (1, 1, 40, 40), edge="trim")
    assert (trimmed.header.height, trimmed.header.width) == (33, 25)
    np.testing.assert_array_equal(trimmed.planes[1], image.planes[1][1:6, 1:3])
    with pytest.raises(
        ValueError, match="nothing is left of the box if it begins with an MCU of 16 pixels at its left"
    ):
        blocks.crop(image, (0, 1, 8, 15), edge="trim")
    with pytest.raises(ValueError, match="ends below the last row"):
        blocks.crop(image, (0, 0, 65, 8))


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_grey_images_are_those_of_jpegtran(subsampling: str) -> None:
    data = make_jpeg(61, 37, subsampling=subsampling)
    grey = blocks.grey(read_coefficients(data))
    assert_same(grey, jpegtran(data, "-grayscale"))
    assert blocks.grey(grey) is grey


def test_images_without_full_luma_cannot_become_grey() -> None:
    with pytest.raises(ValueError, match="cannot make an image of colour CMYK grey without loss"):
        blocks.grey(read_coefficients(make_jpeg(mode="CMYK")))
    with pytest.raises(ValueError, match="its luma has the sampling factors 1 x 1, and other components have up to 2"):
        blocks.grey(make_coefficients(32, 32, SAMPLINGS["luma sub-sampled"]))


def test_requantizing_rounds_to_the_nearest_multiple() -> None:
    image = make_coefficients(16, 24, SAMPLINGS["4:4:4"])
    tables = [np.full((8, 8), step) for step in (3, 7, 7)]
    coarse = blocks.requantize(image, tables)
    for c, plane in enumerate(image.planes):
        exact = plane * image.quantization_tables[c].astype(float) / tables[c]
        assert np.abs(coarse.planes[c] - exact).max() <= 0.5
        halves = np.abs(exact) % 1 == 0.5
        np.testing.assert_array_equal(np.abs(coarse.planes[c])[halves], np.abs(exact[halves]) + 0.5)
    assert [c.quantization_table_id for c in coarse.header.components] == [0, 1, 1]
    same = blocks.requantize(image, image.quantization_tables)
    for before, after in zip(image.planes, same.planes, strict=True):
        np.testing.assert_array_equal(before, after)


def test_requantizing_checks_its_tables() -> None:
    image = make_coefficients(16, 16, SAMPLINGS["grey"])
    ones = np.ones((8, 8), np.uint16)
    for tables, message in (
        ([], "an image of 1 component needs as many tables, not 0"),
        ([ones[:4]], "quantization_tables[0] must be 8 x 8 whole numbers, not an array of uint16 of shape (4, 8)"),
        ([ones * 0], "quantization_tables[0] must hold whole numbers from 1 to 65535"),
        ([ones * 1.5], "quantization_tables[0] must hold whole numbers from 1 to 65535"),
    ):
        with pytest.raises(ValueError) as caught:
            blocks.requantize(image, tables)
        assert message in str(caught.value)
    wide = replace(image, planes=(np.full((2, 2, 8, 8), 1000, np.int16),), quantization_tables=(ones * 200,))
    with pytest.raises(ValueError, match="component 0: a coefficient of 200000 does not fit into 16 bits"):
        blocks.requantize(wide, [ones])


def test_restart_intervals_of_whole_rows_stay_whole_rows() -> None:
    image = make_coefficients(64, 96, SAMPLINGS["4:2:0"])
    rows = replace(image, header=replace(image.header, restart_interval=12))  # two rows of six MCUs
    assert blocks.transpose(rows).header.restart_interval == 8
    assert blocks.crop(rows, (0, 0, 64, 33)).header.restart_interval == 6
    assert blocks.grey(rows).header.restart_interval == 24
    odd = replace(image, header=replace(image.header, restart_interval=7))
    assert blocks.transpose(odd).header.restart_interval == 7


@pytest.mark.parametrize("frame", FRAMES)
def test_edited_images_are_written_and_read_back(frame: str) -> None:
    image = read_coefficients(jpeg_of(FRAMES[frame], 37, 61), segments=True)
    for edited in (
        blocks.rotate(image, 1, edge="keep"),
        blocks.flip_vertical(image, edge="trim") if image.header.height >= 32 else image,
        blocks.transpose(image),
        blocks.crop(image, (32, 32, 5, 3), edge="keep"),
    ):
        again = read_coefficients(write_jpeg(edited))
        for plane, back in zip(edited.planes, again.planes, strict=True):
            np.testing.assert_array_equal(plane, back)
        for table, back in zip(edited.quantization_tables, again.quantization_tables, strict=True):
            np.testing.assert_array_equal(table, back)
        assert (again.header.height, again.header.width) == (edited.header.height, edited.header.width)


def test_a_photo_taken_sideways_is_written_upright(tmp_path: Path) -> None:
    stored = with_segments(make_jpeg(64, 48), segment(0xE1, exif(">", {0x0112: (3, 6)}, {}, THUMBNAIL)))
    turned = blocks.upright(read_coefficients(stored, segments=True))
    written = write_jpeg(turned, tmp_path / "upright.jpg")
    assert THUMBNAIL in written
    with Image.open(io.BytesIO(stored)) as before, Image.open(tmp_path / "upright.jpg") as after:
        assert after.getexif().get(0x0112) == 1
        wanted = np.asarray(ImageOps.exif_transpose(before), int)
        assert np.abs(np.asarray(after, int) - wanted).max() <= 8  # chroma is upsampled along the other axis first


# ---------------------------------------------------------------------------------- segments


def exif(order: str, entries: dict[int, tuple[int, int]], sub: dict[int, tuple[int, int]], thumbnail: bytes) -> bytes:
    """Make an EXIF segment with entries {tag: (type, value)} in its two directories, and a thumbnail."""

    def directory(at: int, tags: dict[int, tuple[int, int]], following: int) -> bytes:
        out = struct.pack(order + "H", len(tags))
        for tag, (kind, value) in sorted(tags.items()):
            held = struct.pack(order + ("H" if kind == 3 else "I"), value)
            out += struct.pack(order + "HHI", tag, kind, 1) + held.ljust(4, b"\0")
        return out + struct.pack(order + "I", following)

    first = 8
    inner = first + 2 + 12 * (len(entries) + 1) + 4
    second = inner + 2 + 12 * len(sub) + 4
    data = second + 2 + 12 * 2 + 4
    return (
        b"Exif\0\0"
        + (b"II*\0" if order == "<" else b"MM\0*")
        + struct.pack(order + "I", first)
        + directory(first, {**entries, 0x8769: (4, inner)}, second)
        + directory(inner, sub, 0)
        + directory(second, {0x0201: (4, data), 0x0202: (4, len(thumbnail))}, 0)
        + thumbnail
    )


THUMBNAIL = b"\xff\xd8 the thumbnail \xff\xd9"


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [3, 4])
def test_an_upright_image_says_so_in_its_segments(order: str, kind: int) -> None:
    body = exif(order, {0x010F: (3, 9), 0x0112: (kind, 6)}, {0xA002: (3, 64), 0xA003: (4, 32)}, THUMBNAIL)
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/><tiff:Orientation>8</tiff:Orientation>'
    other = ((0xE2, b"ICC_PROFILE\0..."), (0xFE, b"tiff:Orientation=6"))
    image = make_coefficients(32, 64, SAMPLINGS["4:2:0"], orientation=6)
    turned = blocks.upright(replace(image, segments=((0xE1, body), (0xE1, xmp), *other)))
    upright = exif(order, {0x010F: (3, 9), 0x0112: (kind, 1)}, {0xA002: (3, 32), 0xA003: (4, 64)}, THUMBNAIL)
    assert turned.segments[0] == (0xE1, upright)
    assert turned.segments[1][1].count(b"1") == xmp.count(b"1") + 2
    assert turned.segments[2:] == other
    assert turned.header.orientation == 1


def test_thumbnails_can_be_dropped() -> None:
    body = exif(">", {0x0112: (3, 6)}, {}, THUMBNAIL)
    jfif = b"JFIF\0\x01\x01\0\0\x48\0\x48"
    resources = b"Photoshop 3.0\x00"
    note = b"8BIM\x04\x04\0\0\0\0\0\x03abc\0"
    preview = b"8BIM\x04\x0c\x03odd\0\0\0\x05image\0"[:18] + b"\0"
    before = (
        (0xE0, jfif + b"\x01\x02" + bytes(6)),
        (0xE0, b"JFXX\0\x10" + THUMBNAIL),
        (0xE1, body),
        (0xED, resources + note + b"8BIM\x04\x0c\0\0\0\0\0\x05image\0" + note),
        (0xED, resources + preview[:9]),
        (0xFE, b"kept"),
    )
    after = without_thumbnails(before)
    assert after[0] == (0xE0, jfif + b"\0\0")
    assert after[1][0] == 0xE1
    assert b"thumbnail" not in after[1][1]
    assert len(after[1][1]) == len(body) - len(THUMBNAIL)
    assert with_orientation(after[1:2], 1) != after[1:2]  # the first directory is still there
    assert after[2:] == ((0xED, resources + note + note), before[4], before[5])
    assert without_thumbnails(after) == after


def test_the_index_of_further_images_can_be_dropped() -> None:
    kept = ((0xE1, b"MPF\0"), (0xE2, b"ICC_PROFILE\0"))
    assert without_further_images((kept[0], (0xE2, b"MPF\0MM\0*"), kept[1])) == kept
    assert without_further_images(None) is None


def test_a_thumbnail_before_other_data_is_wiped_out() -> None:
    body = exif("<", {0x0112: (3, 6)}, {}, THUMBNAIL) + b"a maker's note"
    ((_, after),) = without_thumbnails(((0xE1, body),))
    assert len(after) == len(body)
    assert after.endswith(bytes(len(THUMBNAIL)) + b"a maker's note")


def test_damaged_segments_are_kept_as_they_are() -> None:
    whole = exif("<", {0x0112: (3, 6)}, {0xA002: (3, 64)}, THUMBNAIL)
    rng = np.random.default_rng(0)
    for n in range(2000):
        body = bytearray(whole)
        for at in rng.integers(6, len(body), rng.integers(1, 6)):
            body[at] = rng.choice([0, 1, 255, rng.integers(256)])
        damaged = ((0xE1, bytes(body[: len(body) if n % 2 else rng.integers(len(body))])),)
        for edit in (without_thumbnails, lambda s: with_orientation(s, 1), lambda s: with_size(s, 70000, 3)):
            ((marker, after),) = edit(damaged)
            assert marker == 0xE1
            assert len(after) <= len(damaged[0][1])
