"""Rank a model's input channels by how much they matter, and choose the best of them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jpegfreq._files import write_whole
from jpegfreq._words import counted
from jpegfreq.channels import ZIGZAG, ChannelSelection
from jpegfreq.statistics import ChannelStatistics

__all__ = ["Agreement", "Ranking", "agreement", "energy_ranking", "save_selection", "select", "zigzag_place"]

_NAMED = 6  # channels that the repr of a Ranking names
_ZIGZAG_PLACE = {frequency: place for place, frequency in enumerate(ZIGZAG)}


def zigzag_place(channel: int) -> tuple[int, int]:
    """Return a channel's sort key: its frequency's place along the zigzag (T.81 figure A.6), then its component."""
    return _ZIGZAG_PLACE[channel % 64], channel // 64


@dataclass(frozen=True)
class Ranking:
    """Channels from the one that matters most to the one that matters least.

    Attributes:
        by: the kind of score: "gate", "energy", "loss" or "weights".
        channels: channel numbers (64 * component + 8 * v + u), the best first.
        scores: each channel's score, in the same order.
        source: what it was measured on.
    """

    by: str
    channels: tuple[int, ...]
    scores: tuple[float, ...]
    source: str

    def __repr__(self) -> str:
        """Name the first channels."""
        first = " ".join(ChannelSelection(self.channels[:_NAMED]).channel_names) if self.channels else "none"
        more = f" and {len(self.channels) - _NAMED} more" if len(self.channels) > _NAMED else ""
        return f"Ranking(by {self.by}: {first}{more}; source={self.source!r})"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return {"by": self.by, "channels": list(self.channels), "scores": list(self.scores), "source": self.source}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Ranking:
        """Build the ranking that `to_dict` described."""
        return cls(values["by"], tuple(values["channels"]), tuple(values["scores"]), values["source"])

    @property
    def usable(self) -> int:
        """How many channels can be chosen: all of them, but by a gate only those that are ever on."""
        return sum(score > 0 for score in self.scores) if self.by == "gate" else len(self.channels)

    @classmethod
    def of(cls, by: str, scores: Mapping[int, Sequence[float]], source: str) -> Ranking:
        """Rank channels by their scores, the largest first.

        Args:
            by: the kind of score.
            scores: for each channel a sequence of scores, where a later score decides only if the earlier ones are
                equal. If all are equal, the zigzag decides, then Y before Cb before Cr, so that the order never depends
                on chance.
            source: what they were measured on.
        """
        order = sorted(scores, key=lambda channel: (*(-score for score in scores[channel]), *zigzag_place(channel)))
        return cls(by, tuple(order), tuple(float(scores[channel][0]) for channel in order), source)


def select(ranking: Ranking, count: int, *, name: str = "") -> ChannelSelection:
    """Choose the channels that matter most, as a selection that can be used wherever a preset can.

    Args:
        ranking: from a heat map (`HeatMap.ranking()`), or one of the rankings that need no gate.
        count: how many channels to choose.
        name: the selection's name; "" for "learned-<count>".

    Returns:
        The channels component by component in raster order, like the presets.

    Raises:
        ValueError: the ranking holds fewer channels, or the gate never turns so many on.
    """
    if not 1 <= count <= len(ranking.channels):
        raise ValueError(f"the ranking holds {counted(len(ranking.channels), 'channel')}, so {count} cannot be chosen")
    if count > ranking.usable:
        raise ValueError(
            f"{count} channels cannot be chosen: the gate ever turns on only {ranking.usable} of the "
            f"{counted(len(ranking.channels), 'channel')}; choose at most {ranking.usable}, or train the gate to use "
            "more"
        )
    return ChannelSelection(tuple(sorted(ranking.channels[:count])), name or f"learned-{count}")


def save_selection(path: str | os.PathLike[str], selection: ChannelSelection, ranking: Ranking) -> None:
    """Write a selection as JSON, with its origin; `ChannelSelection.from_json` reads it."""
    learned = {"by": ranking.by, "source": ranking.source, "of_channels": len(ranking.channels)}
    value = selection.to_dict() | {"channel_names": selection.channel_names, "learned_from": learned}
    write_whole(Path(path), json.dumps(value) + "\n")


def energy_ranking(statistics: ChannelStatistics, channels: Sequence[int] = range(192)) -> Ranking:
    """Rank channels by energy: the variance of their dequantized coefficients before any normalization.

    Energy measures how much of the image a channel holds, not how a model uses it.

    Args:
        statistics: measured by `jpegfreq stats`, where a standard deviation below 1 is stored as 1. The preset "dctnet"
            does not fit: it holds the standard deviations of per-image means.
        channels: the channels to rank.
    """
    return Ranking.of("energy", {channel: (statistics.std[channel] ** 2,) for channel in channels}, statistics.source)


@dataclass(frozen=True)
class Agreement:
    """How far two rankings agree on the channels that both hold.

    Attributes:
        first: the first ranking's kind of score.
        second: the second ranking's kind of score.
        spearman: the rank correlation: 1 for the same order, -1 for the reverse; NaN for fewer than two channels.
        count: how many of the best channels `overlap` compares.
        overlap: how many channels are among the best `count` of both rankings.
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
