"""Boxes that training cuts out of an image, and windows that evaluation cuts out of a resized one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from jpegfreq._arguments import check_choice, given, pixel_size, whole_number, whole_numbers

__all__ = ["Box", "Filter", "Rounding", "Window", "center_crop_box", "center_crop_window", "random_resized_crop_box"]

# (top, left, height, width) in pixels of the full image.
Box: TypeAlias = tuple[int, int, int, int]
_SIDES = ("top", "left", "height", "width")


class Window(NamedTuple):
    """A part of an image that is resized as a whole. The filter reaches beyond the window, into the image around it.

    Attributes:
        resized: (height, width) in pixels to which the whole image is resized.
        top: the first row of the window, in pixels of the resized image.
        left: its first column.
        size: (height, width) of the window in pixels.
    """

    resized: tuple[int, int]
    top: int
    left: int
    size: tuple[int, int]


# The filters of a resize, in the order of enum Filter of jpegfreq_resample.h.
Filter = Literal["box", "bilinear", "bicubic"]
FILTERS: tuple[Filter, ...] = ("box", "bilinear", "bicubic")

Rounding = Literal["torchvision", "pillow"]
ROUNDINGS: tuple[Rounding, ...] = ("torchvision", "pillow")

# max_resized_size of jpegfreq_resample.h
_MAX_RESIZED = 1 << 30

# A box or a window as the native code takes them: (top, left, height, width, resized height, resized width). The latter
# two are 0 for a box.
Region: TypeAlias = tuple[int, int, int, int, int, int]


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


def checked_window(window: Window) -> Window:
    """Return a window with whole numbers.

    Raises:
        TypeError: a part of it is not a whole number.
        ValueError: it is empty, or not inside the resized image.
    """
    resized = whole_numbers("the window's resized", window.resized, ("height", "width"))
    size = whole_numbers("the window's size", window.size, ("height", "width"))
    top, left = whole_numbers("the window's place", (window.top, window.left), ("top", "left"))
    image = f"the resized image, which is height {resized[0]} x width {resized[1]}"
    fault = ""
    if min(size) < 1:
        fault = "is empty: its height and width must be at least 1"
    elif max(resized) > _MAX_RESIZED:
        fault = f"is one of {image}: at most {_MAX_RESIZED} pixels are possible"
    elif top < 0:
        fault = f"begins above the first row of {image}"
    elif left < 0:
        fault = f"begins left of the first column of {image}"
    elif top + size[0] > resized[0]:
        fault = f"ends below the last row of {image}"
    elif left + size[1] > resized[1]:
        fault = f"ends right of the last column of {image}"
    if fault:
        raise ValueError(f"the window (top {top}, left {left}, height {size[0]}, width {size[1]}) {fault}")
    return Window((resized[0], resized[1]), top, left, (size[0], size[1]))


def region_of(part: Box | Window | Sequence[int], size: tuple[int, int]) -> Region:
    """Return a box or a window in the numbers that the native code takes; whether it lies inside is not checked.

    Raises:
        TypeError: it is neither.
        ValueError: the window is not as large as the result, `size`.
    """
    if not isinstance(part, Window):
        top, left, height, width = whole_numbers("box", part, _SIDES)
        if max(top, left, height, width) > _MAX_RESIZED:
            raise ValueError(f"the box (top {top}, left {left}, height {height}, width {width}) is outside every image")
        return top, left, height, width, 0, 0
    window = checked_window(part)
    if window.size != size:
        raise ValueError(
            f"the window is height {window.size[0]} x width {window.size[1]}, but size is height {size[0]} x width "
            f"{size[1]}"
        )
    return window.top, window.left, *window.size, *window.resized


def _region_error(region: Sequence[int], height: int, width: int, index: int) -> ValueError | None:
    """Return the error of a batch's region; native/bindings/read_batch.cpp asks for it where the core refuses one."""
    try:
        checked_box(region[:4], height, width)
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
    return draw_box(height, width, draw, scale, ratio)


def draw_box(
    height: int, width: int, draw: Callable[[], float], scale: tuple[float, float], ratio: tuple[float, float]
) -> Box:
    """Draw a box as `random_resized_crop_box` does, whose arguments these are, but checked already."""
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


def center_crop_window(
    height: int, width: int, size: tuple[int, int], *, shorter_side: int, rounding: Rounding = "torchvision"
) -> Window:
    """Return the window that "resize the shorter side, then crop the centre" cuts out, which is usual for evaluation.

    Args:
        height: the height of the image in pixels.
        width: its width.
        size: (height, width) of the crop in pixels, not larger than the resized image.
        shorter_side: the length to which the shorter side is resized, in pixels.
        rounding: how the longer side and the crop's place become whole pixels. "torchvision", as Resize and CenterCrop
            do: the longer side is rounded down, and the place to the nearest pixel, halves to the even one. timm's
            transforms for square crops are the same two. "pillow", as ImageOps.cover does: the longer side is rounded
            to the nearest pixel; Pillow has no centre crop, so the place is rounded down, as `(width - size) // 2`.

    Raises:
        ValueError: the crop is larger than the resized image, where torchvision would add a black border.

    >>> center_crop_window(300, 400, (224, 224), shorter_side=256)
    Window(resized=(256, 341), top=16, left=58, size=(224, 224))
    """
    height, width = whole_number("height", height, least=1), whole_number("width", width, least=1)
    size = pixel_size("size", size)
    shorter_side = whole_number("shorter_side", shorter_side, least=1)
    check_choice("rounding", rounding, ROUNDINGS)
    shorter, longer = sorted((height, width))
    if rounding == "torchvision":
        longer_side = int(shorter_side * longer / shorter)
    else:
        longer_side = round(longer / shorter * shorter_side)
    resized = (shorter_side, longer_side) if height <= width else (longer_side, shorter_side)
    if size[0] > resized[0] or size[1] > resized[1]:
        raise _too_large(size, height, width, shorter_side)
    free = (resized[0] - size[0], resized[1] - size[1])
    top, left = (round(side / 2) if rounding == "torchvision" else side // 2 for side in free)
    return Window(resized, top, left, size)


def _too_large(size: tuple[int, int], height: int, width: int, shorter_side: int) -> ValueError:
    return ValueError(
        f"a crop of height {size[0]} x width {size[1]} is larger than an image of height {height} x width {width} "
        f"that is resized to a shorter side of {shorter_side} pixels"
    )


def center_crop_box(height: int, width: int, size: tuple[int, int], *, shorter_side: int) -> Box:
    """Return the box of the image that about equals a centre crop of the resized image.

    Resizing this box to `size` gives the same crop as `center_crop_window`, except for rounding: the box has whole
    pixels of the image before it is resized, and the filter does not reach beyond it.

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
        raise _too_large(size, height, width, shorter_side)
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def _bounds(name: str, value: tuple[float, float]) -> tuple[float, float]:
    """Return a lower and an upper bound, both above zero, as floats."""
    try:
        low, high = value
        low, high = float(low), float(high)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be two numbers, (lowest, highest), not {value!r}") from None
    if not 0 < low <= high < math.inf:
        raise ValueError(f"{name} must be (lowest, highest) with 0 < lowest <= highest, not ({low}, {high})")
    return low, high
