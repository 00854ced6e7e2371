"""Which channels matter most: one order of the model's input channels, however it was found, and selections from it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jpegfreq._files import write_whole
from jpegfreq.channels import ZIGZAG, ChannelSelection
from jpegfreq.statistics import ChannelStatistics

__all__ = ["Agreement", "Ranking", "agreement", "energy_ranking", "save_selection", "select", "zigzag_place"]

_ZIGZAG_PLACE = {frequency: place for place, frequency in enumerate(ZIGZAG)}


def zigzag_place(channel: int) -> tuple[int, int]:
    """Sort key of a channel: its frequency's place along the zigzag (T.81 figure A.6), then its component."""
    return _ZIGZAG_PLACE[channel % 64], channel // 64


@dataclass(frozen=True)
class Ranking:
    """Channels from the one that matters most to the one that matters least.

    Attributes:
        by: how it was found: "gate", "energy", "loss" or "weights".
        channels: channel numbers (64 * component + 8 * v + u), best first.
        scores: what each was ranked by, in the same order.
        source: what it was measured on.
    """

    by: str
    channels: tuple[int, ...]
    scores: tuple[float, ...]
    source: str

    @classmethod
    def of(cls, by: str, scores: Mapping[int, Sequence[float]], source: str) -> Ranking:
        """Rank channels by their scores, the largest first.

        Args:
            by: how they were found.
            scores: of each channel: numbers of which a later one counts only where the earlier ones are equal. What is
                equal still goes by the zigzag, then Y before Cb before Cr, so that the order never depends on chance.
            source: what they were measured on.
        """
        order = sorted(scores, key=lambda channel: (*(-score for score in scores[channel]), *zigzag_place(channel)))
        return cls(by, tuple(order), tuple(float(scores[channel][0]) for channel in order), source)


def select(ranking: Ranking, count: int, *, name: str = "") -> ChannelSelection:
    """The channels that matter most, as a selection to be used wherever a preset is.

    Args:
        ranking: of a heat map (`HeatMap.ranking()`), or of one of the gate-free rankings.
        count: how many channels.
        name: of the selection; "" for "learned-<count>".

    Returns:
        Component by component in raster order, as the presets are.
    """
    if not 1 <= count <= len(ranking.channels):
        raise ValueError(
            f"the ranking holds {len(ranking.channels)} channels, so 1 to as many can be chosen, not {count}"
        )
    return ChannelSelection(tuple(sorted(ranking.channels[:count])), name or f"learned-{count}")


def save_selection(path: str | os.PathLike[str], selection: ChannelSelection, ranking: Ranking) -> None:
    """Write a selection as JSON, with what it was learned from; `ChannelSelection.from_json` reads it."""
    learned = {"by": ranking.by, "source": ranking.source, "of_channels": len(ranking.channels)}
    value = json.loads(selection.to_json()) | {"channel_names": selection.channel_names, "learned_from": learned}
    write_whole(Path(path), json.dumps(value) + "\n")


def energy_ranking(statistics: ChannelStatistics, channels: Sequence[int] = range(192)) -> Ranking:
    """Rank by energy: the variance of the dequantized coefficients of each channel, before any normalization.

    It asks how much of the picture a channel holds, not what a model makes of it: after normalization every channel
    has the energy 1, and the order says nothing any more.

    Args:
        statistics: true ones (`jpegfreq stats`), where every channel of a std below 1 counts as 1; the preset "dctnet"
            holds deviations of per-image means instead.
        channels: those to rank.
    """
    return Ranking.of("energy", {channel: (statistics.std[channel] ** 2,) for channel in channels}, statistics.source)


@dataclass(frozen=True)
class Agreement:
    """How far two rankings agree on the channels that both hold.

    Attributes:
        first: how the one was found.
        second: how the other was found.
        spearman: rank correlation, 1 the same order, -1 the reverse; NaN for fewer than two channels.
        count: the k of `overlap`.
        overlap: how many of the first k channels both have among their first k.
    """

    first: str
    second: str
    spearman: float
    count: int
    overlap: int


def agreement(first: Ranking, second: Ranking, count: int) -> Agreement:
    """Compare two rankings.

    >>> a = Ranking("energy", (0, 1, 8), (3.0, 2.0, 1.0), "")
    >>> agreement(a, Ranking("loss", (1, 0, 8), (3.0, 2.0, 1.0), ""), 2)
    Agreement(first='energy', second='loss', spearman=0.5, count=2, overlap=2)
    """
    common = set(first.channels) & set(second.channels)
    a, b = ([channel for channel in ranking.channels if channel in common] for ranking in (first, second))
    place = {channel: n for n, channel in enumerate(b)}
    n = len(common)
    squares = sum((i - place[channel]) ** 2 for i, channel in enumerate(a))
    spearman = 1 - 6 * squares / (n * (n * n - 1)) if n > 1 else math.nan
    return Agreement(first.by, second.by, spearman, count, len(set(a[:count]) & set(b[:count])))
