"""Mean and standard deviation of each frequency channel: measured on a stream of tensors, merged, saved, loaded."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from jpegfreq._arguments import check_choice, check_flag, check_type
from jpegfreq._files import read_text, write_whole
from jpegfreq._json import parse_json
from jpegfreq.channels import CHANNEL_COUNT

__all__ = ["ChannelStatistics", "StatisticsAccumulator"]

# The smallest std that measured statistics give a channel: the finest step of JPEG's quantization. A channel that
# varies less holds only residues of resampling (upsampled chroma has a std of 0.003 in its high frequencies). Divided
# by their own std they would become as large as the image's content: a short training run on all 192 channels then
# loses five points of accuracy (bench/README.md).
LEAST_STD = 1.0

ONE_STD = "; one std a component"  # ends the source of statistics from `per_component`; stored in files

# The largest coefficient of an 8-bit image: that of a block of one value, 8 * 128.
_LARGEST = 1024.0

# How much of an image NumPy converts to float64 at a time.
_STRIP_VALUES = 1 << 20


@dataclass(frozen=True, repr=False)
class ChannelStatistics:
    """Mean and standard deviation of all 192 channels, of unnormalized tensors, in raster order.

    A TensorFormat that holds them normalizes each channel it selects: (value - mean) / std.

    Attributes:
        mean: 192 numbers.
        std: 192 numbers, each above zero; measured ones at least 1 (StatisticsAccumulator.statistics).
        source: what they were measured on: "flowers, size 448". Reports show it, and every file keeps it.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        """Check lengths and values, which may come as any sequence of numbers."""
        for name in ("mean", "std"):
            given = getattr(self, name)
            try:
                values = tuple(float(value) for value in given if not isinstance(value, str))
            except TypeError:
                values = None
            if values is None or isinstance(given, str) or len(values) != len(given):
                raise TypeError(f"{name} must be {CHANNEL_COUNT} numbers, not a {type(given).__name__}")
            if len(values) != CHANNEL_COUNT:
                raise ValueError(f"{name} needs {CHANNEL_COUNT} values, one per channel, not {len(values)}")
            if not np.isfinite(values).all():
                channel = int(np.isfinite(values).argmin())
                raise ValueError(f"{name} of channel {channel} is {values[channel]}: it is not finite")
            object.__setattr__(self, name, values)
        if min(self.std) <= 0:
            channel = self.std.index(min(self.std))
            raise ValueError(f"std of channel {channel} is {self.std[channel]}: it must be above zero")
        if not isinstance(self.source, str) or not self.source:
            raise ValueError(f"source must name what the statistics were measured on, not {self.source!r}")

    def __repr__(self) -> str:
        return f"<ChannelStatistics of {self.source!r}>"

    @classmethod
    def preset(cls, name: str) -> ChannelStatistics:
        """Return statistics that come with the library, by name.

        "dctnet" gives the numbers published with the code of Xu et al. (CVPR 2020), measured on ImageNet through that
        code's own pipeline (448 px crops, re-encoded at quality 100). Warning: their std is the standard deviation of
        per-image means, not of coefficients: 260, 2.8, 2.0, 1.4 for the first luma channels, where the standard
        deviation of the coefficients is about 500, 73, 38, 24. Use them to reproduce that code's input. For training,
        measure your own with StatisticsAccumulator.
        """
        if name != "dctnet":
            raise ValueError(f'name must be "dctnet", the only preset, not {name!r}')
        return cls(_DCTNET_MEAN, _DCTNET_STD, "dctnet")

    def per_component(self) -> ChannelStatistics:
        """Return the same means with a single std per component, the root mean square of its 64.

        Normalized in this way the spectrum keeps its slope, as in pixels: high frequencies stay small instead of
        becoming as large as low ones. This improves a short training run on all 192 channels a lot (bench/README.md).
        """
        std = np.sqrt((np.array(self.std).reshape(-1, 64) ** 2).mean(axis=1)).repeat(64)
        return replace(self, std=tuple(std.tolist()), source=self.source + ONE_STD)

    def int8_steps(self, *, normalized: bool = True, deviations: float = 8.0) -> tuple[float, ...]:
        """Choose the steps of a TensorFormat with dtype "int8", so that 127 of them reach far enough.

        Args:
            normalized: whether the format holds these statistics, or plain coefficients.
            deviations: how many standard deviations from its mean a channel must reach, unless 8-bit images have no
                values so large: a coefficient lies within +-1024.

        Returns:
            192 numbers.

        >>> from jpegfreq.format import TensorFormat
        >>> statistics = ChannelStatistics((0.0,) * 192, (10.0,) * 192, "made up")
        >>> format = TensorFormat(dtype="int8", statistics=statistics, steps=statistics.int8_steps())
        """
        if not 0 < deviations < math.inf:
            raise ValueError(f"deviations must be above 0, not {deviations}")
        mean, std = np.abs(self.mean), np.array(self.std)
        if normalized:
            reach = np.minimum(deviations, (_LARGEST + mean) / std)
        else:
            reach = np.minimum(mean + deviations * std, _LARGEST)
        return tuple((reach / 127).tolist())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold; numbers keep every bit."""
        return {"source": self.source, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ChannelStatistics:
        """Make statistics from what `to_dict`, StatisticsAccumulator.to_dict or `jpegfreq stats` wrote.

        Raises:
            ValueError: the values are none of these.
        """
        fields = set(values) if isinstance(values, Mapping) else set()
        if not {"mean", "source"} <= fields or not {"std", "count"} & fields:
            raise ValueError("not channel statistics: the fields that `jpegfreq stats` writes are missing")
        try:
            if "std" not in fields:
                return StatisticsAccumulator.from_dict(values).statistics(values["source"])
            return cls(values["mean"], values["std"], values["source"])
        except (TypeError, KeyError) as error:
            raise ValueError(f"not channel statistics: {error}") from error

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> ChannelStatistics:
        """Make statistics from JSON text; what it may hold and errors as for `from_dict`."""
        return cls.from_dict(parse_json(text))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the statistics to a file as JSON, whole or not at all."""
        write_whole(Path(path), self.to_json() + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ChannelStatistics:
        """Read a file that `save` or `jpegfreq stats` wrote.

        Raises:
            OSError: the file cannot be read.
            ValueError: it does not hold statistics; the message names the file.
        """
        text = read_text(path)
        try:
            return cls.from_json(text)
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from error


class StatisticsAccumulator:
    """Running mean and variance of the 192 channels (Welford, in float64), mergeable across processes.

    Update it with unnormalized tensors of all channels. The order of the images and their split among processes
    change the result only by rounding.

    Attributes:
        count: how many values of each channel were seen: int64 [192].
        mean: float64 [192].
        second_moment: float64 [192], the sum of squared distances from the mean.

    >>> accumulator = StatisticsAccumulator()
    >>> accumulator.update(np.ones((192, 2, 2), np.float32))
    >>> accumulator.mean[0]
    np.float64(1.0)
    """

    def __init__(self) -> None:
        """Start with no values."""
        self.count: npt.NDArray[np.int64] = np.zeros(CHANNEL_COUNT, np.int64)
        self.mean: npt.NDArray[np.float64] = np.zeros(CHANNEL_COUNT)
        self.second_moment: npt.NDArray[np.float64] = np.zeros(CHANNEL_COUNT)

    def update(self, tensor: npt.NDArray[Any], *, layout: Literal["CHW", "HWC"] = "CHW", grey: bool = False) -> None:
        """Add one tensor, or a batch of them.

        Args:
            tensor: [192, H, W] or [N, 192, H, W]; channels last for layout "HWC". Unnormalized.
            layout: where the channels are.
            grey: leave out the chroma channels, because the zeros of a grey image say nothing about colour.
        """
        check_choice("layout", layout, ("CHW", "HWC"))
        if not isinstance(tensor, np.ndarray):
            raise TypeError(f"tensor must be a NumPy array, not a {type(tensor).__name__}")
        axis = tensor.ndim - (3 if layout == "CHW" else 1)
        if tensor.ndim not in (3, 4) or tensor.shape[axis] != CHANNEL_COUNT:
            raise ValueError(f"tensor must hold all {CHANNEL_COUNT} channels as {layout}; its shape is {tensor.shape}")
        channels = slice(0, 64) if check_flag("grey", grey) else slice(0, CHANNEL_COUNT)
        values = np.moveaxis(tensor, axis, 0)[channels]
        step = max(1, _STRIP_VALUES // max(1, values[:, 0].size))
        for start in range(0, values.shape[1], step):
            strip = values[:, start : start + step].reshape(values.shape[0], -1).astype(np.float64)
            count = strip.shape[1]
            if count:
                mean = strip.mean(axis=1)
                strip -= mean[:, None]
                self._combine(channels, np.int64(count), mean, np.einsum("cn,cn->c", strip, strip))

    def merge(self, other: StatisticsAccumulator) -> None:
        """Add what another accumulator has seen (Chan et al.'s pairwise form of Welford's update)."""
        check_type("other", other, StatisticsAccumulator)
        self._combine(slice(0, CHANNEL_COUNT), other.count, other.mean, other.second_moment)

    def _combine(
        self,
        channels: slice,
        count: npt.NDArray[np.int64] | np.int64,
        mean: npt.NDArray[np.float64],
        second_moment: npt.NDArray[np.float64],
    ) -> None:
        total = self.count[channels] + count
        share = count / np.maximum(total, 1)
        distance = mean - self.mean[channels]
        self.second_moment[channels] += second_moment + distance**2 * self.count[channels] * share
        self.mean[channels] += distance * share
        self.count[channels] = total

    def statistics(self, source: str) -> ChannelStatistics:
        """Return what was measured so far.

        A std below 1, the finest step of JPEG's quantization, becomes 1, so that a channel that holds only residues of
        resampling is not amplified. The true variance of each channel is `second_moment / count`.

        Args:
            source: what the statistics were measured on.

        Raises:
            ValueError: a channel has fewer than two values.
        """
        if self.count.min() < 2:
            raise ValueError(f"channel {int(self.count.argmin())} has fewer than two values")
        std = np.maximum(np.sqrt(self.second_moment / self.count), LEAST_STD)
        return ChannelStatistics(tuple(self.mean.tolist()), tuple(std.tolist()), source)

    def __repr__(self) -> str:
        return f"<StatisticsAccumulator of {self.count[0]:,} luma and {self.count[64]:,} chroma values per channel>"

    def to_dict(self, source: str = "") -> dict[str, Any]:
        """Return the whole state as plain values, for another process to merge."""
        arrays = {"count": self.count, "mean": self.mean, "second_moment": self.second_moment}
        return {"source": source} | {name: array.tolist() for name, array in arrays.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StatisticsAccumulator:
        """Make the accumulator that `to_dict` was called on."""
        accumulator = cls()
        accumulator.count[:] = values["count"]
        accumulator.mean[:] = values["mean"]
        accumulator.second_moment[:] = values["second_moment"]
        return accumulator

    def to_json(self, source: str = "") -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(source))

    @classmethod
    def from_json(cls, text: str) -> StatisticsAccumulator:
        """Make an accumulator from the text of `to_json`."""
        return cls.from_dict(parse_json(text))


# Published numbers of the preset "dctnet"; see ChannelStatistics.preset for what they are, and are not.
# fmt: off
_DCTNET_MEAN = (
    -88.397, 0.014242, 0.0034117, 0.0070792, 0.024295, 0.0048884, 0.011029, 0.014621, 0.4438, -0.014657, -0.0054878,
    -0.0074716, -0.0017573, -0.0019678, -0.0010014, -0.00067293, -0.032971, -0.0069187, -0.0045815, -0.0032968,
    0.00029935, -0.0010084, 9.2506e-05, -0.00091809, 0.027731, -0.0068864, -0.0043638, -0.0034875, -0.00074995,
    -0.00012685, -9.9695e-05, 0.00042945, 0.021127, 0.013356, 0.012893, 0.013848, 0.00080353, 0.013728, 0.013314,
    0.013362, 0.0056187, -0.0038503, -0.0016255, -0.00089914, -0.00060506, -9.618e-05, 0.00028288, 0.00051148,
    -0.0060038, -0.001058, -0.00050092, 4.1829e-05, -0.00010169, -0.00034269, 0.00016878, -0.00024374, -0.00063966,
    -0.0001759, -0.00050322, -0.00010794, 0.00010911, 0.0012639, 0.00048865, 0.0023114, -58.709, -0.14975, 0.015083,
    -0.15743, 0.013664, -0.21918, 0.017582, -0.62055, 0.13488, -0.0042079, -0.0010616, 8.0632e-05, 1.8554e-05,
    0.00046599, -1.611e-05, 0.00037761, -0.0032042, -0.0021745, 0.00017846, -0.0025755, -6.3193e-05, -0.0061709,
    2.2338e-05, -0.027234, 0.014375, -0.0001592, 0.0001056, 2.0734e-05, 8.9964e-06, 6.6089e-05, -2.2969e-05,
    8.5885e-05, 0.014262, 0.013967, 0.012928, 0.011558, 0.0059293, 0.0080587, 0.012185, -0.0039466, 0.0039497,
    0.00032286, 4.7901e-05, 1.1759e-05, -5.8365e-06, 3.3193e-06, 2.2425e-05, 4.2256e-05, 0.00052415, 0.00041421,
    -9.4003e-05, -0.00089865, 5.5458e-05, -0.0023636, 7.7944e-05, -0.0076696, 0.00017445, 8.6328e-05, 4.4323e-05,
    1.478e-05, 2.5238e-05, -9.2798e-06, -4.1784e-06, -1.3018e-05, 32.116, -0.14412, 0.012337, -0.1512, 0.008572,
    -0.21042, 0.01523, -0.59077, -0.13207, -0.0040276, -0.00093269, 0.00010862, 4.1762e-05, 0.00046122, 2.8299e-05,
    0.00032597, -0.0039396, -0.0022667, 6.7284e-05, -0.0026205, 0.00016429, -0.0066546, 0.00025047, -0.02864,
    -0.011487, -0.00020323, 2.9561e-05, 3.432e-05, -2.2354e-05, 5.467e-05, 9.8016e-07, 9.6956e-05, 0.0093471,
    0.013498, 0.012898, 0.010983, 0.0055875, 0.0075598, 0.011768, -0.0051549, -0.0028011, 0.00023734, 3.9085e-05,
    3.7114e-05, 3.3999e-05, -7.5e-06, -1.0987e-05, 7.5305e-05, -0.0013658, 0.00030618, 9.6108e-05, -0.00093444,
    4.5678e-05, -0.002439, 0.00012077, -0.0083779, -0.00034181, 0.00013019, 3.5683e-06, 5.3878e-06, -4.0862e-07,
    -9.4194e-06, -9.6086e-07, 2.7884e-05,
)
_DCTNET_STD = (
    259.96, 2.7776, 2.0454, 1.3947, 1.1929, 0.86391, 0.68394, 0.57572, 3.9907, 0.5662, 0.59385, 0.43958, 0.38698,
    0.30748, 0.26694, 0.22055, 2.4791, 0.59187, 0.64341, 0.46003, 0.40897, 0.31736, 0.27511, 0.2124, 1.6547, 0.44618,
    0.46693, 0.36985, 0.33952, 0.26992, 0.23661, 0.20211, 1.3388, 0.39514, 0.42135, 0.34065, 0.32892, 0.25796,
    0.22765, 0.18097, 1.0203, 0.31577, 0.3287, 0.27429, 0.26293, 0.22137, 0.19189, 0.18148, 0.84185, 0.27672, 0.28746,
    0.24236, 0.23329, 0.19236, 0.17785, 0.14372, 0.73554, 0.22719, 0.22219, 0.20297, 0.18347, 0.18323, 0.14515,
    0.22195, 81.161, 0.49091, 0.31735, 0.20449, 0.11882, 0.12908, 0.050844, 0.26862, 0.78728, 0.10321, 0.096477,
    0.062715, 0.046128, 0.033353, 0.023952, 0.018714, 0.38195, 0.097172, 0.10334, 0.063937, 0.049453, 0.035066,
    0.025177, 0.032152, 0.23052, 0.063559, 0.065152, 0.043934, 0.035844, 0.025748, 0.019563, 0.01557, 0.13944,
    0.049192, 0.052346, 0.03709, 0.03356, 0.023967, 0.018798, 0.02198, 0.098602, 0.035452, 0.036885, 0.026706,
    0.02365, 0.017736, 0.014376, 0.012149, 0.06454, 0.026415, 0.027738, 0.021018, 0.01909, 0.015044, 0.012555,
    0.014048, 0.051324, 0.019759, 0.020474, 0.016161, 0.01488, 0.012156, 0.010401, 0.010198, 75.848, 0.46409, 0.29777,
    0.19486, 0.1079, 0.12831, 0.045828, 0.27543, 0.70298, 0.094832, 0.08731, 0.056864, 0.040744, 0.029727, 0.02135,
    0.016915, 0.3597, 0.087856, 0.092837, 0.056967, 0.043606, 0.031381, 0.022382, 0.031701, 0.21259, 0.057565,
    0.058307, 0.039093, 0.031663, 0.022917, 0.017423, 0.014101, 0.12614, 0.043897, 0.046633, 0.033022, 0.029742,
    0.021378, 0.01693, 0.020954, 0.090127, 0.031778, 0.032939, 0.023828, 0.021016, 0.01592, 0.012976, 0.01118,
    0.058509, 0.023753, 0.024662, 0.018851, 0.017072, 0.013647, 0.011419, 0.013227, 0.047294, 0.017943, 0.018471,
    0.014692, 0.013447, 0.01115, 0.0096059, 0.0096861,
)
# fmt: on
