"""What is cut out of an image: a random crop for training, the centre for evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from random import Random
from typing import NamedTuple, TypeAlias

from jpegfreq.crops import Box, center_crop_box, random_resized_crop_box
from jpegfreq.header import Header

__all__ = ["Crop", "EvaluationView", "TrainingView", "View", "draw_crop", "read_size"]


class Crop(NamedTuple):
    """A box of an image, and whether it is mirrored left to right after it has been resized."""

    box: Box
    flip: bool


@dataclass(frozen=True, repr=False)
class TrainingView:
    """A random crop as torchvision's RandomResizedCrop draws it, then a random flip left to right.

    Attributes:
        size: (height, width) in pixels, to which every crop is resized.
        scale: lower and upper bound of the crop's share of the image's area.
        ratio: lower and upper bound of the crop's width / height.
        flip_probability: the probability that a crop is mirrored.
        apply_orientation: turn the image upright first, as its EXIF orientation says; the crop is of the upright image.

    Raises:
        ValueError: one of them is out of range.
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip_probability: float = 0.5
    apply_orientation: bool = False

    def __post_init__(self) -> None:
        """Check the bounds."""
        _check_size(self.size)
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale must be two shares of the image's area, the lower one first, not {self.scale}")
        if not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise ValueError(f"ratio must be two ratios of width / height, the lower one first, not {self.ratio}")
        if not 0 <= self.flip_probability <= 1:
            raise ValueError(f"flip_probability must lie in 0 to 1, not {self.flip_probability}")

    def __repr__(self) -> str:
        """Give the size in words, and the bounds."""
        scale, ratio = (f"{low:.3g} to {high:.3g}" for low, high in (self.scale, self.ratio))
        bounds = f"scale {scale}, ratio {ratio}, flip {self.flip_probability:g}"
        return f"TrainingView({_in_words(self.size)}, {bounds}{_upright(self)})"

    def crop(self, height: int, width: int, random: Random) -> Crop:
        """Draw the crop of an image of height x width pixels."""
        box = random_resized_crop_box(height, width, random.random, scale=self.scale, ratio=self.ratio)
        return Crop(box, random.random() < self.flip_probability)


@dataclass(frozen=True, repr=False)
class EvaluationView:
    """The centre of an image: its shorter side is resized, then the centre is cropped.

    Both steps are done at once, by resizing the box of the image that the crop keeps.

    Attributes:
        size: (height, width) of the crop, pixels.
        shorter_side: the length to which the image's shorter side is resized, pixels.
        apply_orientation: turn the image upright first, as its EXIF orientation says.

    Raises:
        ValueError: the size is not a height and a width, or is larger than the shorter side.
    """

    size: tuple[int, int]
    shorter_side: int
    apply_orientation: bool = False

    def __post_init__(self) -> None:
        """Check the size."""
        _check_size(self.size)
        if max(self.size) > self.shorter_side:
            raise ValueError(f"a crop of {_in_words(self.size)} is larger than a shorter side of {self.shorter_side}")

    def __repr__(self) -> str:
        """Give the size in words, and the shorter side."""
        return f"EvaluationView({_in_words(self.size)}, shorter side {self.shorter_side}{_upright(self)})"

    def __str__(self) -> str:
        """Put the view in words, for what was measured on it."""
        return f"{_in_words(self.size)}, shorter side {self.shorter_side}, centre crop{_upright(self)}"

    def box(self, header: Header) -> Box:
        """Return the box of an image that is resized to the crop."""
        return center_crop_box(*read_size(self, header), self.size, shorter_side=self.shorter_side)

    def crop(self, height: int, width: int, random: Random) -> Crop:
        """Return the crop of an image of height x width pixels; nothing is drawn."""
        return Crop(center_crop_box(height, width, self.size, shorter_side=self.shorter_side), False)


View: TypeAlias = TrainingView | EvaluationView


def read_size(view: View, header: Header) -> tuple[int, int]:
    """Return (height, width) in pixels of an image as a view reads it: upright, or as it is stored."""
    return header.upright_size if view.apply_orientation else (header.height, header.width)


def _upright(view: View) -> str:
    return ", upright" if view.apply_orientation else ""


def _in_words(size: tuple[int, int]) -> str:
    return f"height {size[0]} x width {size[1]}"


def _check_size(size: Sequence[int]) -> None:
    if len(size) != 2 or not all(isinstance(side, Integral) and side > 0 for side in size):
        raise ValueError(f"size must be (height, width) in pixels, not {size!r}")


def draw_crop(view: View, height: int, width: int, *, seed: int, epoch: int, index: int) -> Crop:
    """Draw the crop of one image in one epoch; it does not depend on which worker draws it, nor on the order."""
    # Python's generator: NumPy's takes longer to create than a file takes to read, and holds the GIL.
    return view.crop(height, width, Random(int(seed) << 96 | int(epoch) << 64 | int(index)))
