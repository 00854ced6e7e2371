"""The format of a frequency tensor: its channels, layout and normalization. Input and model share this one value."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from jpegfreq._arguments import check_choice, check_type, given, whole_number
from jpegfreq._json import parse_json
from jpegfreq._words import counted
from jpegfreq.channels import CHANNEL_COUNT, ChannelSelection
from jpegfreq.statistics import ChannelStatistics

__all__ = ["ChromaMode", "Dtype", "Layout", "TensorFormat"]

ChromaMode = Literal["fancy", "replicate"]
Layout = Literal["CHW", "HWC"]
Dtype = Literal["float32", "float16", "int8"]

_CHOICES = {
    "chroma": ("fancy", "replicate"),
    "layout": ("CHW", "HWC"),
    "dtype": ("float32", "float16", "int8"),
}


class Placement(NamedTuple):
    """Where one component's frequencies go in a tensor.

    Attributes:
        frequencies: int64 [n]: the frequency 8 * v + u that each of its channels holds.
        slots: int64 [n]: the place of that channel in the tensor, ascending.
        scale: float32 [n]: what the dequantized coefficient is multiplied by.
        shift: float32 [n]: what is added to it then.
        rows: bit v is set where a channel holds a frequency of row v of a block.
        is_whole_block: whether all 64 frequencies are there in raster order, in neighbouring channels.
    """

    frequencies: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]
    scale: npt.NDArray[np.float32]
    shift: npt.NDArray[np.float32]
    rows: int
    is_whole_block: bool


@dataclass(frozen=True, init=False, repr=False)
class TensorFormat:
    """How coefficients become a tensor. Every stored data set and checkpoint contains its format.

    Formats are frozen and hashable; `to_json` and `from_json` keep every bit.

    Attributes:
        channels: a ChannelSelection. It may be given as anything that ChannelSelection.of takes: "all", the number of
            channels of a preset (24 or "24"), or channel numbers.
        chroma: how components of lower resolution reach the luma grid: as the block DCT of the plane upsampled by
            libjpeg's triangle filter ("fancy") or by repeating its samples ("replicate").
        layout: "CHW", or "HWC" (channels last).
        dtype: "float32"; "float16" (rounded to nearest even; values beyond +-65504 become +-65504); or "int8": each
            value is divided by its channel's step and rounded to nearest even, and what is beyond +-127 becomes
            +-127. Networks multiply by the steps again.
        statistics: None for dequantized coefficients as they are; with ChannelStatistics, each channel becomes
            (value - mean) / std. A path stands for the file, as ChannelStatistics.load reads it.
        steps: for dtype "int8", the step of each of the 192 channels, such as those of ChannelStatistics.int8_steps;
            otherwise None.

    >>> TensorFormat(channels=24).shape(375, 500)
    (24, 47, 63)
    """

    channels: ChannelSelection
    chroma: ChromaMode
    layout: Layout
    dtype: Dtype
    statistics: ChannelStatistics | None
    steps: tuple[float, ...] | None

    def __init__(
        self,
        channels: ChannelSelection | str | int | Sequence[int] = "all",
        chroma: ChromaMode = "fancy",
        layout: Layout = "CHW",
        dtype: Dtype = "float32",
        statistics: ChannelStatistics | str | os.PathLike[str] | None = None,
        steps: Sequence[float] | None = None,
    ) -> None:
        """Check every field; make `channels` a ChannelSelection and load `statistics` from a path."""
        if isinstance(statistics, str | os.PathLike):
            statistics = ChannelStatistics.load(statistics)
        if statistics is not None:
            check_type("statistics", statistics, ChannelStatistics, ", the path of a file of them, or None")
        values: dict[str, Any] = {"chroma": chroma, "layout": layout, "dtype": dtype}
        for name, value in values.items():
            check_choice(name, value, _CHOICES[name])
        values |= {"channels": ChannelSelection.of(channels), "statistics": statistics, "steps": _steps(dtype, steps)}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, format: TensorFormat | None) -> TensorFormat:
        """Return the format that an argument `format` means: None is the default format."""
        if format is None:
            return _DEFAULT
        check_type("format", format, TensorFormat)
        return format

    def __repr__(self) -> str:
        values = "not normalized" if self.statistics is None else f"normalized by {self.statistics.source!r}"
        channels = f"{counted(len(self.selection), 'channel')} ({self.selection.name!r})"
        return f"<TensorFormat: {channels}, {self.layout} {self.dtype}, chroma {self.chroma}, {values}>"

    @property
    def selection(self) -> ChannelSelection:
        """The same as `channels`."""
        return self.channels

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """`dtype` as NumPy's."""
        return np.dtype(self.dtype)

    @cached_property
    def affine(self) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Channel numbers in order, and what a dequantized coefficient of each is multiplied by and then added to.

        For int8, this gives the value before it is rounded.
        """
        channels = np.array(self.selection.channels, np.uint16)
        scale, shift = np.ones(len(channels)), np.zeros(len(channels))
        if self.statistics is not None:
            scale = 1 / np.array(self.statistics.std)[channels]
            shift = -np.array(self.statistics.mean)[channels] * scale
        if self.steps is not None:
            steps = np.array(self.steps)[channels]
            scale, shift = scale / steps, shift / steps
        return channels, scale.astype(np.float32), shift.astype(np.float32)

    @cached_property
    def placements(self) -> tuple[Placement, Placement, Placement]:
        """Where the frequencies of Y, Cb and Cr go."""
        return (self._placement(0), self._placement(1), self._placement(2))

    def _placement(self, component: int) -> Placement:
        channels, scale, shift = self.affine
        slots = np.flatnonzero(channels // 64 == component)
        frequencies = channels[slots].astype(np.int64) % 64
        is_whole_block = np.array_equal(frequencies, range(64)) and int(slots[63] - slots[0]) == 63
        rows = sum(1 << int(v) for v in set(frequencies // 8))
        return Placement(frequencies, slots, scale[slots], shift[slots], rows, is_whole_block)

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Return the shape of the tensor of an image of height x width pixels."""
        grid = (-(-whole_number("height", height, least=1) // 8), -(-whole_number("width", width, least=1) // 8))
        count = len(self.selection)
        return (count, *grid) if self.layout == "CHW" else (*grid, count)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold; `steps` only for int8."""
        values = {
            "channels": self.selection.to_dict(),
            "chroma": self.chroma,
            "layout": self.layout,
            "dtype": self.dtype,
            "statistics": None if self.statistics is None else self.statistics.to_dict(),
        }
        return values if self.steps is None else {**values, "steps": list(self.steps)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TensorFormat:
        """Make the format that `to_dict` was called on.

        Raises:
            ValueError: a field is missing or wrong, or unknown, which means that a newer version wrote it.
        """
        if not isinstance(values, Mapping):
            raise ValueError("not a tensor format, which is a mapping of its fields")
        values = {"steps": None, **values}
        fields = {field.name for field in dataclasses.fields(cls)}
        for name in sorted(fields ^ set(values)):
            fault = "is missing" if name in fields else "is unknown; a newer version of jpegfreq may have written it"
            raise ValueError(f'not a tensor format: the field "{name}" {fault}')
        statistics = values["statistics"]
        parts = {
            "channels": ChannelSelection.from_dict(values["channels"]),
            "statistics": None if statistics is None else ChannelStatistics.from_dict(statistics),
        }
        return cls(**{**values, **parts})

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> TensorFormat:
        """Make a format from the text of `to_json`; errors as for `from_dict`."""
        return cls.from_dict(parse_json(text))


def _steps(dtype: str, steps: Sequence[float] | None) -> tuple[float, ...] | None:
    """Return the steps of a format.

    Raises:
        TypeError: they are not numbers.
        ValueError: they are there without int8, or missing with it, or not one positive number per channel.
    """
    if (steps is None) == (dtype == "int8"):
        raise ValueError(
            'dtype "int8" needs steps, such as statistics.int8_steps()'
            if steps is None
            else f'steps go with dtype "int8", not with {dtype!r}'
        )
    if steps is None:
        return None
    try:
        numbers = tuple(float(step) for step in steps)
    except (TypeError, ValueError):
        raise TypeError(f"steps must be numbers, not {given(steps)}") from None
    wrong = [step for step in numbers if not 0 < step < math.inf]
    if len(numbers) != CHANNEL_COUNT or wrong:
        found = f"with {wrong[0]}" if wrong else f"{len(numbers)} of them"
        raise ValueError(f"steps must be {CHANNEL_COUNT} numbers above 0, one for each channel, not {found}")
    return numbers


_DEFAULT = TensorFormat()
