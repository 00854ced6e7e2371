"""Formats with dtype int8, for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from jpegfreq import TensorFormat
from jpegfreq.statistics import ChannelStatistics

RANDOM = np.random.default_rng(0)
STATISTICS = ChannelStatistics(tuple(RANDOM.normal(size=192)), tuple(RANDOM.uniform(5, 90, 192)), "made up")


def int8(
    channels: Any = "all", *, statistics: ChannelStatistics | None = STATISTICS, layout: Any = "CHW"
) -> TensorFormat:
    steps = STATISTICS.int8_steps(normalized=statistics is not None)
    return TensorFormat(channels, layout=layout, dtype="int8", statistics=statistics, steps=steps)


def steps_of(format: TensorFormat) -> np.ndarray:
    assert format.steps is not None
    steps = np.array(format.steps)[list(format.selection)]
    return steps if format.layout == "HWC" else steps[:, None, None]


def floats(format: TensorFormat) -> TensorFormat:
    return replace(format, dtype="float32", steps=None)
