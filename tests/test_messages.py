"""Messages about arguments: they name the argument, what it must be, and what was given."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jpegfreq
from jpegfreq import ChannelSelection, ChannelStatistics, TensorFormat, blocks, crops, read_batch, read_coefficients
from jpegfreq.statistics import StatisticsAccumulator
from jpegfreq.structure import read_structure
from jpegfreq.views import EvaluationView, TrainingView
from tests.images import make_jpeg

IMAGE = make_jpeg(40, 24)
READ = read_coefficients(IMAGE)
PLANE = np.zeros((2, 3, 8, 8), np.float32)


def batch(**changes: Any) -> Callable[[], Any]:
    return lambda: read_batch([IMAGE], **{"size": (16, 16), **changes})


def coefficients_batch(images: Any = (IMAGE,), **changes: Any) -> Callable[[], Any]:
    return lambda: jpegfreq.read_coefficients_batch(images, **changes)


def resample(**changes: Any) -> Callable[[], Any]:
    arguments = {"coefficients": READ, "box": (0, 0, 24, 40), "size": (16, 16), **changes}
    return lambda: jpegfreq.resample(**arguments)


def random_box(**changes: Any) -> Callable[[], Any]:
    arguments = {"height": 30, "width": 40, "random": np.random.default_rng(0), **changes}
    return lambda: crops.random_resized_crop_box(**arguments)


def statistics(**changes: Any) -> Callable[[], Any]:
    arguments: dict[str, Any] = {"mean": [0.0] * 192, "std": [1.0] * 192, "source": "test", **changes}
    return lambda: ChannelStatistics(**arguments)


BOX = "the box (top {}, left {}, height {}, width {}) "
SIZE = "the image, which is height 24 x width 40"
# What each box is told of an image of height 24 x width 40.
BOXES = {
    (-1, 0, 9, 9): f"begins above the first row of {SIZE}",
    (0, -1, 9, 9): f"begins left of the first column of {SIZE}",
    (20, 0, 9, 9): f"ends below the last row of {SIZE}",
    (0, 32, 9, 9): f"ends right of the last column of {SIZE}",
    (0, 0, 0, 9): "is empty: its height and width must be at least 1",
    (0, 0, 9, -9): "is empty: its height and width must be at least 1",
}
SINGLE = "images must be a list of paths or bytes, not a single {}; use [image]"
CASES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    # A single image passes for a list of its letters or bytes.
    (lambda: read_batch("a.jpg", size=(8, 8)), TypeError, SINGLE.format("str")),
    (lambda: read_batch(Path("a.jpg"), size=(8, 8)), TypeError, SINGLE.format("PosixPath")),  # type: ignore[call-overload]
    (coefficients_batch("a.jpg"), TypeError, SINGLE.format("str")),
    (coefficients_batch(IMAGE), TypeError, SINGLE.format("bytes")),
    (coefficients_batch(np.frombuffer(IMAGE, np.uint8)), TypeError, SINGLE.format("ndarray")),
    (coefficients_batch(mmap.mmap(-1, 8)), TypeError, SINGLE.format("mmap")),
    (coefficients_batch(5), TypeError, "images must be a list of paths or bytes, not 5 (int)"),
    (
        coefficients_batch([IMAGE, 5]),
        TypeError,
        "images[1] must be bytes, another contiguous buffer or a path, not int",
    ),
    (lambda: read_coefficients(5), TypeError, "data must be bytes, another contiguous buffer or a path, not int"),  # type: ignore[arg-type]
    (coefficients_batch([np.zeros(9)]), TypeError, "images[0] must be bytes or a uint8 array, not items of format 'd'"),
    # Counts.
    (batch(threads=0), ValueError, "threads must be from 1 to 65536, not 0"),
    (batch(threads=2.5), TypeError, "threads must be a whole number, not 2.5 (float)"),
    (batch(threads=True), TypeError, "threads must be a whole number, not True"),
    (batch(max_pixels=-1), ValueError, "max_pixels must be from 1 to"),
    (batch(max_pixels=None), TypeError, "max_pixels must be a whole number, not None"),
    (lambda: read_coefficients(IMAGE, max_pixels=float("nan")), TypeError, "max_pixels must be a whole number"),  # type: ignore[arg-type]
    # Words.
    (batch(errors="ignore"), ValueError, 'errors must be "raise" or "return", not \'ignore\''),
    (batch(damage=True), ValueError, 'damage must be "raise" or "keep", not True'),
    (lambda: read_structure(IMAGE, damage="skip"), ValueError, 'damage must be "raise" or "keep"'),  # type: ignore[arg-type]
    (batch(filter="cubic"), ValueError, 'filter must be "box", "bilinear" or "bicubic", not \'cubic\''),
    (batch(chroma="linear"), ValueError, 'chroma must be "direct", "fancy" or "replicate", not \'linear\''),
    (lambda: TensorFormat(layout="NCHW"), ValueError, 'layout must be "CHW" or "HWC", not \'NCHW\''),  # type: ignore[arg-type]
    (lambda: TensorFormat(dtype=np.float32), ValueError, 'dtype must be "float32", "float16" or "int8", not <class'),  # type: ignore[arg-type]
    (lambda: ChannelSelection.preset(24, order="rows"), ValueError, 'order must be "raster" or "zigzag"'),  # type: ignore[arg-type]
    (lambda: blocks.double_blocks(PLANE, "rows"), ValueError, 'axis must be "vertical" or "horizontal"'),  # type: ignore[arg-type]
    # Flags.
    (batch(antialias="no"), TypeError, "antialias must be True or False, not 'no' (str)"),
    (batch(apply_orientation=1), TypeError, "apply_orientation must be True or False, not 1 (int)"),
    (resample(flip=1), TypeError, "flip must be True or False, not 1 (int)"),
    (resample(vertical_flip=None), TypeError, "vertical_flip must be True or False, not None"),
    # Sizes.
    (lambda: TrainingView(224), TypeError, "size must be (height, width) in pixels, not 224; a square is (224, 224)"),
    (lambda: EvaluationView(224, 256), TypeError, "size must be (height, width) in pixels, not 224; a square is"),
    (lambda: TrainingView((8, 0)), ValueError, "size must be (height, width) in pixels, each 1 or more, not (8, 0)"),
    (lambda: TrainingView((8, 8), scale=0.5), TypeError, "scale must be two numbers, not 0.5 (float)"),
    (lambda: TrainingView((8, 8), ratio=(1,)), TypeError, "ratio must be two numbers, not (1,) (tuple)"),
    (lambda: TrainingView((8, 8), flip_probability="x"), TypeError, "flip_probability must be a number, not 'x' (str)"),
    (
        lambda: TrainingView((8, 8), apply_orientation="no"),
        TypeError,
        "apply_orientation must be True or False, not 'no'",
    ),
    (batch(size=448), TypeError, "size must be (height, width) in pixels, not 448; a square is (448, 448)"),
    (batch(size=(16, 16, 3)), TypeError, "size must be (height, width) in whole pixels, not (16, 16, 3) (tuple)"),
    (batch(size=(16.0, 16)), TypeError, "size must be (height, width) in whole pixels"),
    (batch(size="16"), TypeError, "size must be (height, width) in whole pixels, not '16' (str)"),
    (batch(size=(16, 0)), ValueError, "size must be (height, width) in pixels, each 1 to 65536, not (16, 0)"),
    (resample(size=None), TypeError, "size must be (height, width) in whole pixels, not None"),
    (lambda: TensorFormat().shape(0, 8), ValueError, "height must be at least 1, not 0"),
    # Boxes and flips.
    (
        resample(box=(0, 0, 8)),
        TypeError,
        "box must be (top, left, height, width) in whole pixels, not (0, 0, 8) (tuple)",
    ),
    (resample(box=(0, 0, 8.5, 8)), TypeError, "box must be (top, left, height, width) in whole pixels"),
    (batch(boxes=[(0, 0, 8)]), ValueError, "boxes must have one entry per image, a box (top, left, height, width)"),
    (batch(boxes=[(0, 0, 8), (1,)]), ValueError, "boxes must have one entry per image, all of the same shape"),
    (batch(boxes=[(0, float("nan"), 8, 8)]), ValueError, "boxes must be whole numbers of pixels, not float64"),
    (
        batch(flips=[True, False]),
        ValueError,
        "flips must have one entry per image, True or False: shape (1,), not (2,)",
    ),
    (batch(flips=["no"]), TypeError, "flips must be True or False for each image, not <U2"),
    # Values of the wrong type.
    (batch(format="CHW"), TypeError, "format must be a TensorFormat, not 'CHW' (str)"),
    (resample(coefficients=IMAGE), TypeError, "coefficients must be a Coefficients, as read_coefficients returns them"),
    (lambda: jpegfreq.to_frequency_tensor(IMAGE), TypeError, "coefficients must be a Coefficients, as"),  # type: ignore[arg-type]
    (lambda: blocks.upright(IMAGE), TypeError, "coefficients must be a Coefficients"),  # type: ignore[arg-type]
    (batch(out=np.zeros((1, 192, 2, 2))), ValueError, "out must be float32 (1, 192, 2, 2), not float64 (1, 192, 2, 2)"),
    (lambda: TensorFormat(statistics=3.5), TypeError, "statistics must be a ChannelStatistics, the path of a file"),  # type: ignore[arg-type]
    # Channels.
    (lambda: ChannelSelection((1.5,)), TypeError, "each of channels must be a whole number, not 1.5 (float)"),  # type: ignore[arg-type]
    (lambda: ChannelSelection((True,)), TypeError, "each of channels must be a whole number, not True"),
    (lambda: ChannelSelection((5, 5)), ValueError, "channels must differ; 5 is there twice"),
    (lambda: ChannelSelection.of(24.0), TypeError, "channels must be a whole number, not 24.0 (float)"),  # type: ignore[arg-type]
    (lambda: ChannelSelection.preset("24"), TypeError, "count must be a whole number, not '24' (str)"),  # type: ignore[arg-type]
    (lambda: ChannelSelection.zigzag(65), ValueError, "luma must be from 0 to 64, not 65"),
    (lambda: ChannelSelection((1,), name=3), TypeError, "name must be text, not 3"),  # type: ignore[arg-type]
    # Statistics.
    (statistics(mean=[0.0] * 3), ValueError, "mean needs 192 values, one per channel, not 3"),
    (statistics(mean=3.0), TypeError, "mean must be 192 numbers, not a float"),
    (statistics(mean=["0"] * 192), TypeError, "mean must be 192 numbers, not a list"),
    (statistics(mean=[0.0, float("nan")] * 96), ValueError, "mean of channel 1 is nan: it is not finite"),
    (statistics(source=""), ValueError, "source must name what the statistics were measured on, not ''"),
    (lambda: StatisticsAccumulator().update(PLANE, layout="chw"), ValueError, 'layout must be "CHW" or "HWC"'),  # type: ignore[arg-type]
    (lambda: StatisticsAccumulator().update([1]), TypeError, "tensor must be a NumPy array, not a list"),  # type: ignore[arg-type]
    (
        lambda: StatisticsAccumulator().update(PLANE),
        ValueError,
        "tensor must hold all 192 channels as CHW; its shape is",
    ),
    (lambda: StatisticsAccumulator().merge(READ), TypeError, "other must be a StatisticsAccumulator"),  # type: ignore[arg-type]
    # Crops.
    (random_box(height=0), ValueError, "height must be at least 1, not 0"),
    (random_box(width=2.5), TypeError, "width must be a whole number, not 2.5 (float)"),
    (random_box(random=7), TypeError, "random must be a NumPy Generator or a function, not 7 (int)"),
    (random_box(scale=0.5), TypeError, "scale must be two numbers, (lowest, highest), not 0.5"),
    (random_box(scale=(1.0, 0.08)), ValueError, "scale must be (lowest, highest) with 0 < lowest <= highest"),
    (random_box(ratio=(0.75, float("nan"))), ValueError, "ratio must be (lowest, highest) with 0 < lowest <= highest"),
    (lambda: crops.center_crop_box(30, 40, 24, shorter_side=32), TypeError, "size must be (height, width) in pixels"),  # type: ignore[arg-type]
    (lambda: crops.center_crop_box(30, 40, (24, 24), shorter_side=0), ValueError, "shorter_side must be at least 1"),
    (
        lambda: crops.center_crop_box(30, 40, (36, 24), shorter_side=32),
        ValueError,
        "a crop of height 36 x width 24 is larger than an image of height 30 x width 40 that is resized to",
    ),
    # Blocks.
    (lambda: blocks.rotate(PLANE, 0.5), TypeError, "quarter_turns must be a whole number"),  # type: ignore[arg-type]
    (lambda: blocks.transpose(PLANE[0]), ValueError, "plane must have the shape [..., blocks_high, blocks_wide, 8, 8]"),
    (lambda: blocks.flip_vertical([1]), TypeError, "plane must be a NumPy array"),  # type: ignore[arg-type]
    (lambda: blocks.flip_horizontal(PLANE.astype(np.uint16)), TypeError, "plane must hold signed numbers, not uint16"),
    (
        lambda: blocks.double_blocks(PLANE, "vertical", samples=8),
        ValueError,
        "samples must be from 9 to 16 for 2 blocks",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), CASES, ids=[message[:60] for _, _, message in CASES])
def test_a_wrong_argument_is_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("box", BOXES)
def test_a_box_outside_its_image_is_told_the_bound_and_the_size(box: crops.Box) -> None:
    message = BOX.format(*box) + BOXES[box]
    with pytest.raises(ValueError) as caught:
        resample(box=box)()
    assert str(caught.value) == message
    _, [none, error] = read_batch([IMAGE] * 2, size=(16, 16), boxes=[(0, 0, 8, 8), box], errors="return")
    assert none is None
    assert isinstance(error, ValueError)
    assert str(error) == "image 1: " + message


def test_numbers_of_numpy_are_numbers() -> None:
    expected = read_batch([IMAGE], size=(16, 16), boxes=[(0, 0, 8, 8)], flips=[True], threads=1)
    size = np.array([16, 16])
    boxes = np.array([[0, 0, 8, 8]], np.uint16)
    got = read_batch(
        np.array([IMAGE], object),  # type: ignore[call-overload]
        size=size,
        boxes=boxes,
        flips=np.array([True]),
        threads=np.int32(1),
        antialias=np.True_,
    )
    np.testing.assert_array_equal(got, expected)
    assert ChannelSelection(np.array([1, 2])).channels == (1, 2)  # type: ignore[arg-type]
