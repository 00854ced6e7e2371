"""What is cut out of an image: a random crop to train on, the centre to evaluate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from random import Random
from typing import NamedTuple, TypeAlias

from jpegfreq.crops import Box, center_crop_box, random_resized_crop_box

__all__ = ["Crop", "EvaluationView", "TrainingView", "View", "draw_crop"]


class Crop(NamedTuple):
    """A box of an image, and whether it is mirrored left to right after it was resized."""

    box: Box
    flip: bool


@dataclass(frozen=True)
class TrainingView:
    """RandomResizedCrop as torchvision draws it, then a flip left to right by chance.

    Attributes:
        size: (height, width) in pixels that every crop is resized to.
        scale: lower and upper bound of the crop's share of the image's area.
        ratio: lower and upper bound of the crop's width / height.
        flip_probability: how likely a crop is mirrored.

    Raises:
        ValueError: one of them is out of range.
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip_probability: float = 0.5

    def __post_init__(self) -> None:
        """Check all of them."""
        _check_size(self.size)
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale must be two shares of the image's area, the lower one first, not {self.scale}")
        if not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise ValueError(f"ratio must be two ratios of width / height, the lower one first, not {self.ratio}")
        if not 0 <= self.flip_probability <= 1:
            raise ValueError(f"flip_probability must lie in 0 to 1, not {self.flip_probability}")

    def crop(self, height: int, width: int, random: Random) -> Crop:
        """Draw the crop of an image of height x width pixels."""
        box = random_resized_crop_box(height, width, random.random, scale=self.scale, ratio=self.ratio)
        return Crop(box, random.random() < self.flip_probability)


@dataclass(frozen=True)
class EvaluationView:
    """Resize the shorter side, then crop the centre; drawn as the one box that this keeps.

    Attributes:
        size: (height, width) of the crop, pixels.
        shorter_side: what the image's shorter side is resized to, pixels.

    Raises:
        ValueError: the size is no size, or the crop does not lie inside any image.
    """

    size: tuple[int, int]
    shorter_side: int

    def __post_init__(self) -> None:
        """Check both."""
        _check_size(self.size)
        if max(self.size) > self.shorter_side:
            raise ValueError(f"a crop of {self.size} is larger than a shorter side of {self.shorter_side}")

    def crop(self, height: int, width: int, random: Random) -> Crop:
        """The crop of an image of height x width pixels; nothing is drawn."""
        return Crop(center_crop_box(height, width, self.size, shorter_side=self.shorter_side), False)


View: TypeAlias = TrainingView | EvaluationView


def _check_size(size: Sequence[int]) -> None:
    if len(size) != 2 or not all(isinstance(side, Integral) and side > 0 for side in size):
        raise ValueError(f"size must be (height, width) in pixels, not {size!r}")


def draw_crop(view: View, height: int, width: int, *, seed: int, epoch: int, index: int) -> Crop:
    """The crop of one image in one epoch: the same whichever worker draws it, and in whatever order."""
    # Python's generator: NumPy's takes longer to make than the file to read, and holds the GIL.
    return view.crop(height, width, Random(int(seed) << 96 | int(epoch) << 64 | int(index)))
