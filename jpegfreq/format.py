"""What a frequency tensor holds and how it is laid out: the one value that input and model share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from jpegfreq.channels import ChannelSelection
from jpegfreq.statistics import ChannelStatistics

__all__ = ["ChromaMode", "Dtype", "Layout", "TensorFormat"]

ChromaMode = Literal["fancy", "replicate", "nearest", "bilinear"]
Layout = Literal["CHW", "HWC"]
Dtype = Literal["float32", "float16"]

_CHOICES = {
    "chroma": ("fancy", "replicate", "nearest", "bilinear"),
    "layout": ("CHW", "HWC"),
    "dtype": ("float32", "float16"),
}


class Placement(NamedTuple):
    """Where one component's frequencies go, as the kernels take it.

    Attributes:
        where: int64 [2, n]: frequency where[0, i] = 8 * v + u goes to channel where[1, i], ascending.
        affine: float32 [2, n]: it goes there as value * affine[0, i] + affine[1, i].
        whole: all 64 are there.
        raster: they are, in raster order and side by side.
    """

    where: npt.NDArray[np.int64]
    affine: npt.NDArray[np.float32]
    whole: bool
    raster: bool


@dataclass(frozen=True)
class TensorFormat:
    """How coefficients become a tensor. It travels with every stored data set and checkpoint.

    Frozen and hashable; `to_json` and `from_json` keep every bit of it.

    Attributes:
        channels: a ChannelSelection; "all", a preset's count (24 or "24") and channel numbers are taken too.
        chroma: how components of lower resolution reach the luma grid: "fancy" and "replicate" equal the block DCT of
            the upsampled plane (libjpeg's triangle filter, or pixel replication); "nearest" and "bilinear" enlarge
            the block grid itself, the cheap approximation that other work uses.
        layout: "CHW", or "HWC" (channels last).
        dtype: "float32", or "float16" (rounded to nearest even; values beyond +-65504 become +-65504).
        statistics: None for plain dequantized coefficients, else each channel becomes (value - mean) / std.

    >>> TensorFormat(channels=24).shape(375, 500)
    (24, 47, 63)
    """

    channels: ChannelSelection | str | int | Sequence[int] = "all"
    chroma: ChromaMode = "fancy"
    layout: Layout = "CHW"
    dtype: Dtype = "float32"
    statistics: ChannelStatistics | None = None

    def __post_init__(self) -> None:
        """Check every field; turn `channels` into a ChannelSelection."""
        object.__setattr__(self, "channels", ChannelSelection.of(self.channels))
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        if not isinstance(self.statistics, ChannelStatistics | None):
            raise TypeError(f"statistics must be ChannelStatistics or None, not {type(self.statistics).__name__}")

    @property
    def selection(self) -> ChannelSelection:
        """`channels` as the ChannelSelection it became."""
        assert isinstance(self.channels, ChannelSelection)
        return self.channels

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """`dtype` for NumPy."""
        return np.dtype(self.dtype)

    @cached_property
    def placements(self) -> tuple[Placement, Placement, Placement]:
        """Where the frequencies of Y, Cb and Cr go."""
        return (self._placement(0), self._placement(1), self._placement(2))

    def _placement(self, component: int) -> Placement:
        where = np.array(self.selection.component(component), np.int64).reshape(-1, 2).T.copy()
        affine = np.stack([np.ones(where.shape[1]), np.zeros(where.shape[1])])
        if self.statistics is not None:
            channels = 64 * component + where[0]
            affine[0] = 1 / np.array(self.statistics.std)[channels]
            affine[1] = -np.array(self.statistics.mean)[channels] * affine[0]
        whole = where.shape[1] == 64
        raster = whole and bool((where[0] == np.arange(64)).all()) and int(where[1, 63] - where[1, 0]) == 63
        return Placement(where, affine.astype(np.float32), whole, raster)

    def shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Shape of the tensor of an image of height x width pixels."""
        grid = (-(-height // 8), -(-width // 8))
        count = len(self.selection)
        return (count, *grid) if self.layout == "CHW" else (*grid, count)

    def to_json(self) -> str:
        """As JSON text; `from_json` gives an equal format back."""
        return json.dumps(
            {
                "channels": json.loads(self.selection.to_json()),
                "chroma": self.chroma,
                "layout": self.layout,
                "dtype": self.dtype,
                "statistics": None if self.statistics is None else json.loads(self.statistics.to_json()),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> TensorFormat:
        """From the text of `to_json`. Unknown fields are an error: a newer version wrote them."""
        value: dict[str, Any] = json.loads(text)
        channels = ChannelSelection.from_json(json.dumps(value.pop("channels")))
        statistics = value.pop("statistics")
        if statistics is not None:
            statistics = ChannelStatistics.from_json(json.dumps(statistics))
        return cls(channels=channels, statistics=statistics, **value)
