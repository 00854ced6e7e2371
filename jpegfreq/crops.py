"""Boxes that a crop takes out of an image, as training and evaluation choose them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

__all__ = ["Box", "center_crop_box", "random_resized_crop_box"]

# (top, left, height, width) in pixels of the full image.
Box: TypeAlias = tuple[int, int, int, int]


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
        height: of the image, pixels.
        width: of the image, pixels.
        random: a NumPy generator, or a function that draws uniformly from [0, 1): `lambda: float(torch.rand(()))`.
        scale: lower and upper bound of the box's share of the image's area.
        ratio: lower and upper bound of width / height.

    Returns:
        (top, left, height, width).

    >>> random_resized_crop_box(300, 400, np.random.default_rng(0))
    (133, 272, 137, 103)
    """
    if height < 1 or width < 1:
        raise ValueError(f"an image of {height} x {width} pixels has no box")
    draw = random.random if isinstance(random, np.random.Generator) else random
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
    """The box that "resize the shorter side, then crop the centre" keeps, as evaluation does it.

    Resizing this box to `size` is that, but for rounding to whole pixels: of the resized image there, of the box here.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        size: (height, width) of the crop, not larger than the resized image.
        shorter_side: what the shorter side is resized to.

    Returns:
        (top, left, height, width), in pixels of the image as it is.

    >>> center_crop_box(300, 400, (224, 224), shorter_side=256)
    (19, 69, 262, 262)
    """
    pixel = min(height, width) / shorter_side
    box_height, box_width = max(round(size[0] * pixel), 1), max(round(size[1] * pixel), 1)
    if box_height > height or box_width > width:
        raise ValueError(
            f"a crop of {size} is larger than {height} x {width} resized to a shorter side of {shorter_side}"
        )
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width
