"""read_batch gives each image what read_coefficients and resample give it, whatever else is in the batch."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import jpegfreq
from jpegfreq import JpegError, TensorFormat, TruncatedJpegError, UnsupportedJpegError, read_batch, read_coefficients
from jpegfreq._resample import resample
from jpegfreq.crops import random_resized_crop_box
from tests.images import make_jpeg
from tests.samples import SEPARATE
from tests.support import data_files, instruction_sets, run_on

SIZE = (64, 48)


def files(count: int) -> list[bytes]:
    """Make baseline and progressive JPEGs of many sizes and samplings, not sorted by size."""
    kinds: list[dict[str, Any]] = [
        {"subsampling": "4:2:0"},
        {"progressive": True},
        {"subsampling": "4:4:4", "quality": 95},
        {"mode": "L"},
        {"restart_marker_blocks": 5},
        {"subsampling": "4:2:2"},
    ]
    return [make_jpeg(40 + 37 * i % 300, 30 + 91 * i % 200, seed=i, **kinds[i % len(kinds)]) for i in range(count)]


def random_boxes(images: list[Any], seed: int = 0) -> list[tuple[int, int, int, int]]:
    random = np.random.default_rng(seed)
    headers = [jpegfreq.read_header(image) for image in images]
    return [random_resized_crop_box(header.height, header.width, random) for header in headers]


def one_by_one(images: list[Any], boxes: Any, size: tuple[int, int] = SIZE, **options: Any) -> npt.NDArray[Any]:
    return np.stack(
        [resample(read_coefficients(image), box, size, **options) for image, box in zip(images, boxes, strict=True)]
    )


@pytest.mark.parametrize("threads", [None, 1, 2, 7])
@pytest.mark.parametrize("layout", ["CHW", "HWC"])
def test_batch_equals_one_by_one_in_the_callers_order(threads: int | None, layout: Any) -> None:
    images = files(24)
    boxes = random_boxes(images)
    format = TensorFormat(layout=layout)
    got = read_batch(images, size=SIZE, boxes=boxes, format=format, threads=threads)
    np.testing.assert_array_equal(got, one_by_one(images, boxes, format=format))


def test_decoding_stops_below_the_box_and_nowhere_else() -> None:
    """Boxes lie at every height, in every sampling; a row that was not decoded would show as zeros."""
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        image = make_jpeg(64, 96, subsampling=subsampling)
        boxes = [(top, 3, height, 40) for top in range(0, 90, 7) for height in (1, 5, 16) if top + height <= 96]
        for chroma in ("fancy", "replicate", "direct"):
            got = read_batch([image] * len(boxes), size=SIZE, boxes=boxes, chroma=chroma)
            np.testing.assert_array_equal(got, one_by_one([image] * len(boxes), boxes, chroma=chroma))


@pytest.mark.parametrize(("width", "height"), [(65500, 9), (9, 65500), (17, 33), (1, 1)])
@pytest.mark.parametrize("kind", [{}, {"restart_marker_blocks": 1}, {"progressive": True}], ids=str)
def test_crops_at_every_border_are_the_same(width: int, height: int, kind: dict[str, Any]) -> None:
    image = make_jpeg(width, height, subsampling=2, **kind)
    high, wide = min(height, 40), min(width, 40)
    boxes = [
        *[(top, left, 1, 1) for top in (0, height - 1) for left in (0, width - 1)],
        *[(top, left, high, wide) for top in (0, height - high) for left in (0, width - wide)],
        *[(height // 2, 0, 1, width), (0, width // 2, height, 1), (0, 0, height, width)],
    ]
    got = read_batch([image] * len(boxes), size=SIZE, boxes=boxes, threads=1)
    np.testing.assert_array_equal(got, one_by_one([image] * len(boxes), boxes))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_threads_that_have_ended_leave_their_memory_to_the_next_ones() -> None:
    code = """
import re, sys, threading
from pathlib import Path
sys.path.insert(0, ".")
from jpegfreq import read_batch
from tests.images import make_jpeg
images = [make_jpeg(500, 400, seed=seed, quality=90) for seed in range(8)]
def resident():
    return int(re.search(r"VmRSS:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
def read_on_new_threads(count):
    for _ in range(count):
        thread = threading.Thread(target=read_batch, args=(images,), kwargs={"size": (64, 64), "threads": 1})
        thread.start()
        thread.join()
read_on_new_threads(4)
before = resident()
read_on_new_threads(60)
assert resident() - before < 40_000, resident() - before  # kilobytes; a huge page for each thread would be 120_000
"""
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], timeout=60, check=True)


def test_crops_of_files_that_the_lanes_do_not_take_are_the_same() -> None:
    """Such a file needs whole planes, and the lanes find that out only after it was given those of its crop."""
    noise = Image.fromarray(np.random.default_rng(0).integers(256, size=(900, 900, 3), dtype=np.uint8))
    large = io.BytesIO()
    noise.save(large, "JPEG", quality=97, subsampling=0)
    assert len(large.getvalue()) > 1 << 20
    header = jpegfreq.read_header(SEPARATE)
    images = [SEPARATE, make_jpeg(96, 96), large.getvalue()]
    boxes = [(header.height // 3, header.width // 3, header.height // 2, header.width // 2), (40, 30, 40, 50)]
    boxes.append((500, 300, 300, 400))
    got = read_batch(images, size=SIZE, boxes=boxes)
    np.testing.assert_array_equal(got, one_by_one(images, boxes))


def test_kept_damage_within_and_above_a_crop_is_the_same() -> None:
    """The plain decoder has the last word on damaged files, also on those of a crop that begins below the top."""
    image = make_jpeg(300, 300, quality=95, restart_marker_blocks=3)
    ends = (len(image) // 3, len(image) // 2, 2 * len(image) // 3)
    images = [image[:end] for end in ends for _ in range(2)]
    boxes = [(10, 20, 100, 90), (170, 150, 100, 90)] * 3
    got, errors = read_batch(images, size=SIZE, boxes=boxes, damage="keep", errors="return")
    assert any(errors)
    kept = [read_coefficients(one, damage="keep") for one in images]
    np.testing.assert_array_equal(got, np.stack([resample(k, b, SIZE) for k, b in zip(kept, boxes, strict=True)]))


def test_without_boxes_whole_images_are_resized() -> None:
    images = files(6)
    headers = [jpegfreq.read_header(image) for image in images]
    boxes = [(0, 0, header.height, header.width) for header in headers]
    np.testing.assert_array_equal(read_batch(images, size=SIZE), one_by_one(images, boxes))


def test_flips_are_those_of_each_image() -> None:
    images = files(4)
    boxes = random_boxes(images)
    flips = [True, False, False, True]
    got = read_batch(images, size=SIZE, boxes=np.array(boxes, np.int32), flips=np.array(flips))
    for image, box, flip, slot in zip(images, boxes, flips, got, strict=True):
        np.testing.assert_array_equal(slot, resample(read_coefficients(image), box, SIZE, flip=flip))


def test_options_are_those_of_resample() -> None:
    images = files(5)
    boxes = random_boxes(images)
    options: dict[str, Any] = {
        "filter": "bicubic",
        "antialias": False,
        "chroma": "direct",
        "format": TensorFormat(24, layout="HWC", dtype="float16"),
    }
    np.testing.assert_array_equal(
        read_batch(images, size=SIZE, boxes=boxes, **options), one_by_one(images, boxes, **options)
    )


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize("size", [(448, 448), (224, 224), (120, 200)])
def test_output_larger_than_the_caches_is_the_same(layout: Any, size: tuple[int, int]) -> None:
    images = 2 * files(9)  # 24 channels of 448 px take more than 4 MB then, too
    boxes = random_boxes(images)
    for channels in ("all", 24, (*range(3, 27), *range(192 - 16, 192))):
        format = TensorFormat(channels, layout=layout)
        got = read_batch(images, size=size, boxes=boxes, format=format)
        np.testing.assert_array_equal(got, one_by_one(images, boxes, size, format=format))


@pytest.mark.parametrize("filter", ["bilinear", "bicubic", "box"])
@pytest.mark.parametrize("size", [(104, 456), (456, 104)])
def test_large_output_of_any_box_and_orientation_is_the_same(size: tuple[int, int], filter: Any) -> None:
    """Bands are made in pieces ahead of the rows that need them: from few rows or many, downwards or upwards."""
    format = TensorFormat(layout="HWC")
    options: dict[str, Any] = {"filter": filter, "apply_orientation": True, "format": format}
    images = [
        make_jpeg(401, 403, subsampling=subsampling, exif=_exif(orientation), seed=orientation)
        for orientation in range(1, 9)
        for subsampling in ("4:4:4", "4:2:0")
    ]
    for box in ((0, 0, 401, 401), (200, 3, 3, 390), (7, 101, 390, 17), (129, 64, 64, 64)):
        boxes = [box] * len(images)
        got = read_batch(images, size=size, boxes=boxes, **options)
        np.testing.assert_array_equal(got, one_by_one(images, boxes, size, **options))


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize(("dtype", "offsets"), [("float32", (4, 16, 32)), ("float16", (2, 16)), ("int8", (1, 16))])
def test_large_output_is_the_same_wherever_it_begins(layout: Any, dtype: Any, offsets: tuple[int, ...]) -> None:
    images = 2 * files(9)
    boxes = random_boxes(images)
    for channels in ("all", 24, (*range(3, 27), *range(192 - 16, 192))):
        steps = (4.0,) * 192 if dtype == "int8" else None
        format = TensorFormat(channels, layout=layout, dtype=dtype, steps=steps)
        want = read_batch(images, size=(232, 328), boxes=boxes, format=format)
        for offset in offsets:
            memory = np.full(want.nbytes + 256, 0xA5, np.uint8)
            start = -memory.ctypes.data % 64 + offset
            out = memory[start : start + want.nbytes].view(want.dtype).reshape(want.shape)
            read_batch(images, size=(232, 328), boxes=boxes, format=format, out=out)
            np.testing.assert_array_equal(out, want)
            assert (memory[:start] == 0xA5).all()
            assert (memory[start + want.nbytes :] == 0xA5).all()


def test_fills_the_array_it_is_given() -> None:
    images = files(3)
    store = np.full((5, 24, 8, 6), np.nan, np.float32)
    out = read_batch(images, size=SIZE, format=TensorFormat(24), out=store[1:4])
    assert out.base is store
    assert np.isnan(store[[0, 4]]).all()
    np.testing.assert_array_equal(out, read_batch(images, size=SIZE, format=TensorFormat(24)))


def test_bytes_and_paths_mix(tmp_path: Path) -> None:
    images = files(4)
    mixed: list[Any] = list(images)
    for i in (1, 3):
        mixed[i] = tmp_path / f"{i}.jpg"
        mixed[i].write_bytes(images[i])
    np.testing.assert_array_equal(read_batch(iter(mixed), size=SIZE), read_batch(images, size=SIZE))


def test_empty_batch() -> None:
    assert read_batch([], size=SIZE).shape == (0, 192, 8, 6)
    assert read_batch([], size=SIZE, boxes=[], flips=[], errors="return")[1] == []


@pytest.mark.parametrize("threads", [1, 3])
def test_one_bad_file_spoils_no_other(tmp_path: Path, threads: int) -> None:
    images: list[Any] = files(12)
    boxes = random_boxes(images)
    good = one_by_one(images, boxes)
    images[1] = b"no JPEG"
    images[4] = make_jpeg(300, 300)[:3000]
    boxes[4] = (0, 0, 300, 300)
    images[6] = tmp_path / "missing.jpg"
    boxes[8] = (0, 0, 10_000, 5)
    images[10] = make_jpeg(40, 40, mode="CMYK")
    boxes[10] = (0, 0, 40, 40)
    out = np.full((12, 192, 8, 6), np.nan, np.float32)
    got, errors = read_batch(images, size=SIZE, boxes=boxes, threads=threads, errors="return", out=out)
    assert got is out
    for i, (slot, error) in enumerate(zip(got, errors, strict=True)):
        if i in (1, 4, 6, 8, 10):
            assert not slot.any()
        else:
            assert error is None
            np.testing.assert_array_equal(slot, good[i])
    for i in (1, 4):
        assert isinstance(errors[i], JpegError)
        assert errors[i].index == i
    assert isinstance(errors[6], FileNotFoundError)
    assert str(errors[8]).startswith(
        "image 8: the box (top 0, left 0, height 10000, width 5) ends below the last row of the image"
    )
    assert isinstance(errors[10], UnsupportedJpegError)
    assert "this one is CMYK" in str(errors[10])


@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_error_in_the_callers_order_is_raised(threads: int) -> None:
    images: list[Any] = files(20)
    images[15] = make_jpeg(2000, 2000)[:-2000]
    images[9] = make_jpeg(300, 300)[:2000]
    with pytest.raises(TruncatedJpegError) as caught:
        read_batch(images, size=SIZE, threads=threads)
    assert caught.value.index == 9
    with pytest.raises(ValueError, match=r"image 1: the box .* is empty"):
        read_batch(images, size=SIZE, threads=threads, boxes=[(0, 0, 30, 30), (0, 0, 0, 8)] + [(0, 0, 30, 30)] * 18)


def test_kept_damage_fills_its_slot_and_is_reported() -> None:
    images = [make_jpeg(), make_jpeg(300, 300, quality=95)[:9000]]
    got, errors = read_batch(images, size=SIZE, damage="keep", errors="return")
    assert errors[0] is None
    assert isinstance(errors[1], TruncatedJpegError)
    kept = read_coefficients(images[1], damage="keep")
    np.testing.assert_array_equal(got[1], resample(kept, (0, 0, 300, 300), SIZE))


def test_luma_of_a_ycck_image_can_be_had_and_nothing_else() -> None:
    paths = [path for path in data_files("odd") if _color(path) == "YCCK"]
    assert paths
    got = read_batch(paths, size=SIZE, format=TensorFormat(range(64)))
    assert np.isfinite(got).all()
    assert all(isinstance(e, UnsupportedJpegError) for e in read_batch(paths, size=SIZE, errors="return")[1])


def _color(path: Path) -> str:
    try:
        return jpegfreq.read_header(path).color if jpegfreq.read_header(path).process == "baseline" else ""
    except JpegError:
        return ""


def test_photographs_in_a_batch_equal_photographs_alone() -> None:
    paths: list[Any] = data_files("photos")[::10]
    boxes = random_boxes(paths, 3)
    np.testing.assert_array_equal(read_batch(paths, size=(224, 224), boxes=boxes), one_by_one(paths, boxes, (224, 224)))


def test_rotated_files_can_be_turned_upright() -> None:
    paths: list[Any] = [path for path in data_files("odd") if _color(path) == "YCbCr" and _orientation(path) > 1][:12]
    assert paths
    got = read_batch(paths, size=SIZE, apply_orientation=True)
    for path, slot in zip(paths, got, strict=True):
        header = jpegfreq.read_header(path)
        sides = (header.height, header.width) if header.orientation < 5 else (header.width, header.height)
        want = resample(read_coefficients(path), (0, 0, *sides), SIZE, apply_orientation=True)
        np.testing.assert_array_equal(slot, want)


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def _orientation(path: Path) -> int:
    return jpegfreq.read_header(path).orientation


def test_arguments_are_checked() -> None:
    image = make_jpeg()
    for wrong, message in (
        ({"threads": 0}, "threads"),
        ({"errors": "ignore"}, "errors"),
        ({"damage": "ignore"}, "damage"),
        ({"boxes": [(0, 0, 8, 8)] * 2}, "boxes must have one entry per image"),
        ({"boxes": [0, 0, 8, 8]}, "boxes must have one entry per image"),
        ({"boxes": [(0, 0, 8, 8, 0, 0, 8, 8)]}, "boxes must have one entry per image"),
        ({"boxes": [(0.5, 0, 8, 8)]}, "boxes must be whole numbers"),
        ({"flips": []}, "flips must have one entry per image"),
        ({"flips": True}, "flips must have one entry per image"),
        ({"out": np.empty((2, 192, 8, 6), np.float32)}, "out must be"),
        ({"size": (0, 64)}, "size must be"),
    ):
        with pytest.raises(ValueError, match=message):
            read_batch([image], **{"size": SIZE, **wrong})  # type: ignore[call-overload]


@pytest.mark.parametrize("instruction_set", instruction_sets()[:-1])
def test_other_instruction_sets_fill_large_outputs_alike(instruction_set: str) -> None:
    run_on(instruction_set, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "large_output_")
