"""Boxes that training and evaluation cut out of an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from jpegfreq._arguments import given, pixel_size, whole_number, whole_numbers

__all__ = ["Box", "center_crop_box", "random_resized_crop_box"]

# (top, left, height, width) in pixels of the full image.
Box: TypeAlias = tuple[int, int, int, int]
_SIDES = ("top", "left", "height", "width")


def checked_box(box: Sequence[int], height: int, width: int) -> Box:
    """Return a box as four ints.

    Args:
        box: (top, left, height, width).
        height: the height of the image in pixels.
        width: its width.

    Raises:
        TypeError: the box is not four whole numbers.
        ValueError: it is empty, or not inside the image.
    """
    top, left, box_height, box_width = whole_numbers("box", box, _SIDES)
    fault = ""
    if min(box_height, box_width) < 1:
        fault = "is empty: its height and width must be at least 1"
    elif top < 0:
        fault = f"begins above the first row of the image, which is height {height} x width {width}"
    elif left < 0:
        fault = f"begins left of the first column of the image, which is height {height} x width {width}"
    elif top + box_height > height:
        fault = f"ends below the last row of the image, which is height {height} x width {width}"
    elif left + box_width > width:
        fault = f"ends right of the last column of the image, which is height {height} x width {width}"
    if fault:
        raise ValueError(f"the box (top {top}, left {left}, height {box_height}, width {box_width}) {fault}")
    return top, left, box_height, box_width


def _box_error(box: Sequence[int], height: int, width: int, index: int) -> ValueError | None:
    """Return the error of a box of a batch; native/bindings/read_batch.cpp asks for it where the core refuses one."""
    try:
        checked_box(box, height, width)
    except ValueError as error:
        return ValueError(f"image {index}: {error}")
    return None


def random_resized_crop_box(
    height: int,
    width: int,
    random: np.random.Generator | Callable[[], float],
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Box:
    """Draw a box as torchvision's RandomResizedCrop does: from the same distribution.

    Args:
        height: the height of the image in pixels.
        width: its width.
        random: a NumPy generator, or a function that draws uniformly from [0, 1): `lambda: float(torch.rand(()))`.
        scale: lower and upper bound of the area of the box, as a fraction of the area of the image.
        ratio: lower and upper bound of the aspect ratio, width / height.

    Returns:
        (top, left, height, width).

    >>> random_resized_crop_box(300, 400, np.random.default_rng(0))
    (133, 272, 137, 103)
    """
    height, width = whole_number("height", height, least=1), whole_number("width", width, least=1)
    scale, ratio = _bounds("scale", scale), _bounds("ratio", ratio)
    draw = random.random if isinstance(random, np.random.Generator) else random
    if not callable(draw):
        raise TypeError(f"random must be a NumPy Generator or a function, not {given(random)}")
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(10):
        area = height * width * (scale[0] + (scale[1] - scale[0]) * draw())
        aspect = math.exp(low + (high - low) * draw())
        box_width = round(math.sqrt(area * aspect))
        box_height = round(math.sqrt(area / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(draw() * (height - box_height + 1))
            left = int(draw() * (width - box_width + 1))
            return top, left, box_height, box_width
    box_height, box_width = height, width
    if width / height < ratio[0]:
        box_height = min(max(round(width / ratio[0]), 1), height)
    elif width / height > ratio[1]:
        box_width = min(max(round(height * ratio[1]), 1), width)
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def center_crop_box(height: int, width: int, size: tuple[int, int], *, shorter_side: int) -> Box:
    """Return the box that "resize the shorter side, then crop the centre" keeps, which is usual for evaluation.

    Resizing this box to `size` gives the same crop, except for rounding: the usual order rounds the resized image to
    whole pixels, this function the box.

    Args:
        height: the height of the image in pixels.
        width: its width.
        size: (height, width) of the crop in pixels, not larger than the resized image.
        shorter_side: the length to which the shorter side is resized, in pixels.

    Returns:
        (top, left, height, width), in pixels of the image before resizing.

    Raises:
        ValueError: the crop is larger than the resized image.

    >>> center_crop_box(300, 400, (224, 224), shorter_side=256)
    (19, 69, 262, 262)
    """
    height, width = whole_number("height", height, least=1), whole_number("width", width, least=1)
    size = pixel_size("size", size)
    pixel = min(height, width) / whole_number("shorter_side", shorter_side, least=1)
    box_height, box_width = max(round(size[0] * pixel), 1), max(round(size[1] * pixel), 1)
    if box_height > height or box_width > width:
        raise ValueError(
            f"a crop of height {size[0]} x width {size[1]} is larger than an image of height {height} x width {width} "
            f"that is resized to a shorter side of {shorter_side} pixels"
        )
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def _bounds(name: str, value: tuple[float, float]) -> tuple[float, float]:
    """Return a lower and an upper bound, both above zero, as floats."""
    try:
        low, high = (float(bound) for bound in value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be two numbers, (lowest, highest), not {value!r}") from None
    if not 0 < low <= high < math.inf:
        raise ValueError(f"{name} must be (lowest, highest) with 0 < lowest <= highest, not ({low}, {high})")
    return low, high
