"""What is cut out of an image: a random crop for training, the centre for evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from itertools import count
from numbers import Real
from struct import Struct
from typing import Any, NamedTuple, TypeAlias

from jpegfreq._arguments import check_choice, check_flag, given, pixel_size, whole_number
from jpegfreq.crops import (
    FILTERS,
    ROUNDINGS,
    Box,
    Filter,
    Rounding,
    Window,
    center_crop_window,
    draw_box,
)
from jpegfreq.header import Header

__all__ = ["Crop", "EvaluationView", "TrainingView", "View", "draw_crop", "read_size"]

_EIGHT = Struct("<8Q")


class Crop(NamedTuple):
    """A box of an image or a window of the resized image, and whether it is mirrored left to right in the end."""

    box: Box | Window
    flip: bool


@dataclass(frozen=True, repr=False)
class TrainingView:
    """A random crop as torchvision's RandomResizedCrop draws it, then a random flip left to right.

    Attributes:
        size: (height, width) in pixels, to which every crop is resized.
        scale: lower and upper bound of the crop's share of the image's area.
        ratio: lower and upper bound of the crop's width / height.
        flip_probability: the probability that a crop is mirrored.
        filter: the filter of the resize, as for `resample`.
        apply_orientation: turn the image upright first, as its EXIF orientation says; the crop is of the upright image.

    Raises:
        TypeError: one of them has the wrong type.
        ValueError: one of them is out of range.
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip_probability: float = 0.5
    filter: Filter = "bilinear"
    apply_orientation: bool = False

    def __post_init__(self) -> None:
        """Check the bounds."""
        pixel_size("size", self.size)
        if not 0 < (scale := _pair("scale", self.scale))[0] <= scale[1] <= 1:
            raise ValueError(f"scale must be two shares of the image's area, the lower one first, not {self.scale}")
        if not 0 < (ratio := _pair("ratio", self.ratio))[0] <= ratio[1] < math.inf:
            raise ValueError(f"ratio must be two ratios of width / height, the lower one first, not {self.ratio}")
        if not isinstance(self.flip_probability, Real):
            raise TypeError(f"flip_probability must be a number, not {given(self.flip_probability)}")
        if not 0 <= self.flip_probability <= 1:
            raise ValueError(f"flip_probability must lie in 0 to 1, not {self.flip_probability}")
        check_choice("filter", self.filter, FILTERS)
        check_flag("apply_orientation", self.apply_orientation)

    def __repr__(self) -> str:
        """Give the size in words, and the bounds."""
        scale, ratio = (f"{low:.3g} to {high:.3g}" for low, high in (self.scale, self.ratio))
        bounds = f"scale {scale}, ratio {ratio}, flip {self.flip_probability:g}"
        return f"TrainingView({_in_words(self.size)}, {bounds}{_filtered(self)}{_upright(self)})"

    def crop(self, height: int, width: int, draw: Callable[[], float]) -> Crop:
        """Draw the crop of an image of height x width pixels; `draw` draws uniformly from [0, 1)."""
        box = draw_box(height, width, draw, self.scale, self.ratio)
        return Crop(box, draw() < self.flip_probability)


@dataclass(frozen=True, repr=False)
class EvaluationView:
    """The centre of an image: the image is resized by its shorter side, then the centre is cropped.

    The result is what torchvision's Resize(shorter_side) and CenterCrop(size) give, but no more of the image is read
    than the crop needs.

    Attributes:
        size: (height, width) of the crop, pixels. Its tensor has whole blocks: for 300 pixels 38, as `resample` says.
        shorter_side: the length to which the image's shorter side is resized, pixels.
        filter: the filter of the resize, as for `resample`.
        rounding: how the resized image and the crop's place become whole pixels, as for `center_crop_window`.
        apply_orientation: turn the image upright first, as its EXIF orientation says.

    Raises:
        TypeError: one of them has the wrong type.
        ValueError: the size is not a height and a width, or is larger than the shorter side, or a choice is unknown.
    """

    size: tuple[int, int]
    shorter_side: int
    filter: Filter = "bilinear"
    rounding: Rounding = "torchvision"
    apply_orientation: bool = False

    def __post_init__(self) -> None:
        """Check everything."""
        pixel_size("size", self.size)
        whole_number("shorter_side", self.shorter_side, least=1)
        if max(self.size) > self.shorter_side:
            raise ValueError(f"a crop of {_in_words(self.size)} is larger than a shorter side of {self.shorter_side}")
        check_choice("filter", self.filter, FILTERS)
        check_choice("rounding", self.rounding, ROUNDINGS)
        check_flag("apply_orientation", self.apply_orientation)

    def __repr__(self) -> str:
        """Give the size in words, and the shorter side."""
        return f"EvaluationView({_in_words(self.size)}, shorter side {self.shorter_side}{self._options()})"

    def __str__(self) -> str:
        """Put the view in words, for what was measured on it."""
        return f"{_in_words(self.size)}, shorter side {self.shorter_side}, centre crop{self._options()}"

    def _options(self) -> str:
        rounding = "" if self.rounding == "torchvision" else f", {self.rounding}'s rounding"
        return f"{_filtered(self)}{rounding}{_upright(self)}"

    def window(self, header: Header) -> Window:
        """Return the window of an image."""
        return self._window(*read_size(self, header))

    def crop(self, height: int, width: int, draw: Callable[[], float]) -> Crop:
        """Return the crop of an image of height x width pixels; nothing is drawn."""
        return Crop(self._window(height, width), False)

    def _window(self, height: int, width: int) -> Window:
        return center_crop_window(height, width, self.size, shorter_side=self.shorter_side, rounding=self.rounding)

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Return the keys of `to_dict`."""
        return tuple(field.name for field in fields(cls))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold; the size of a square crop is one number."""
        height, width = self.size
        return {**asdict(self), "size": int(height) if height == width else [int(height), int(width)]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EvaluationView:
        """Make the view that `to_dict` was called on.

        Raises:
            ValueError: a field is missing, wrong or unknown.
        """
        if not isinstance(values, Mapping):
            raise ValueError("not an evaluation view, which is a mapping of its fields")
        names = set(cls.field_names())
        for name in sorted(names ^ set(values)):
            fault = "is missing" if name in names else "is unknown; a newer version of jpegfreq may have written it"
            raise ValueError(f'not an evaluation view: the field "{name}" {fault}')
        size = values["size"]
        try:
            return cls(**{**values, "size": (size, size) if isinstance(size, int) else tuple(size)})
        except TypeError as error:
            raise ValueError(f"not an evaluation view: {error}") from error


View: TypeAlias = TrainingView | EvaluationView


def read_size(view: View, header: Header) -> tuple[int, int]:
    """Return (height, width) in pixels of an image as a view reads it: upright, or as it is stored."""
    return header.upright_size if view.apply_orientation else (header.height, header.width)


def _filtered(view: View) -> str:
    return "" if view.filter == "bilinear" else f", {view.filter}"


def _upright(view: View) -> str:
    return ", upright" if view.apply_orientation else ""


def _in_words(size: tuple[int, int]) -> str:
    return f"height {size[0]} x width {size[1]}"


def _pair(name: str, value: Any) -> tuple[float, float]:
    """Return two numbers; raise TypeError for anything else."""
    if not isinstance(value, Sequence) or len(value) != 2 or not all(isinstance(number, Real) for number in value):
        raise TypeError(f"{name} must be two numbers, not {given(value)}")
    return value[0], value[1]


def draw_crop(view: View, height: int, width: int, *, seed: int, epoch: int, index: int) -> Crop:
    """Draw the crop of one image in one epoch; it does not depend on which worker draws it, nor on the order."""
    return view.crop(height, width, _uniform(seed, epoch, index).__next__)


def _uniform(seed: int, epoch: int, index: int) -> Iterator[float]:
    """Draw numbers uniformly from [0, 1), 53 bits each: BLAKE2b of the arguments and of how many it has drawn.

    To create one of Python's or NumPy's generators takes longer than all that is drawn from it here.
    """
    for block in count():
        name = b"%d %d %d %d" % (seed, epoch, index, block)
        for value in _EIGHT.unpack(blake2b(name, digest_size=_EIGHT.size).digest()):
            yield (value >> 11) * 2.0**-53
