"""Measure how often a trained gate turns each of the 192 channels on: the paper's heat map."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from jpegfreq._arguments import given
from jpegfreq._files import read_text, write_whole
from jpegfreq._json import parse_json
from jpegfreq._words import counted
from jpegfreq.channels import CHANNEL_COUNT, ZIGZAG, ChannelSelection
from jpegfreq.models.analysis.evaluation import OnUnread, Progress, evaluation_batches
from jpegfreq.models.analysis.ranking import Ranking
from jpegfreq.models.gate import GateDecision, GatedNetwork
from jpegfreq.torch import Images

if TYPE_CHECKING:
    from jpegfreq.models.predict import Classifier

__all__ = ["HeatMap", "heat_map", "heat_map_of"]


@dataclass(frozen=True)
class HeatMap:
    """How often each channel is on, over a set of images.

    Attributes:
        on_rate: for each of the 192 channel numbers (64 * component + 8 * v + u), the share of images for which the
            gate turns the channel on; NaN for a channel that the model does not take.
        on_probability: the mean probability that the channel is on, in the same order.
        images: the number of images it was measured on.
        source: which model and which images.
    """

    on_rate: tuple[float, ...]
    on_probability: tuple[float, ...]
    images: int
    source: str

    def __post_init__(self) -> None:
        """Check lengths and values."""
        for name in ("on_rate", "on_probability"):
            # One NaN object everywhere, so that equal heat maps compare equal.
            values = tuple(
                math.nan if value is None or value != value else float(value) for value in getattr(self, name)
            )
            if len(values) != CHANNEL_COUNT:
                raise ValueError(f"{name} needs {CHANNEL_COUNT} values, one per channel, not {len(values)}")
            if any(not 0 <= value <= 1 for value in values if value == value):
                raise ValueError(f"{name} holds a value outside 0 to 1")
            object.__setattr__(self, name, values)
        if [math.isnan(value) for value in self.on_rate] != [math.isnan(value) for value in self.on_probability]:
            raise ValueError("on_rate and on_probability must hold the same channels")
        if not isinstance(self.source, str):
            raise ValueError(f"source must be text, not {given(self.source)}")
        if not isinstance(self.images, int) or isinstance(self.images, bool) or self.images < 0:
            raise ValueError(f"images must be a whole number of at least 0, not {given(self.images)}")
        if not self.channels:
            raise ValueError("a heat map needs at least one channel")

    def __repr__(self) -> str:
        """Give the averages, not the 384 numbers."""
        return (
            f"HeatMap({self.mean_channels_on:.1f} of {counted(len(self.channels), 'channel')} on, mean of "
            f"{counted(self.images, 'image')}; "
            f"source={self.source!r})"
        )

    @property
    def channels(self) -> tuple[int, ...]:
        """The numbers of the channels that the model takes, ascending."""
        return tuple(channel for channel, rate in enumerate(self.on_rate) if not math.isnan(rate))

    @property
    def chooses(self) -> bool:
        """Whether some channels are on more often than others."""
        return len({self.on_rate[channel] for channel in self.channels}) > 1

    @property
    def mean_channels_on(self) -> float:
        """The mean number of channels that are on per image."""
        return sum(self.on_rate[channel] for channel in self.channels)

    @property
    def luma_over_chroma(self) -> float:
        """Mean on-rate of the luma channels over that of the chroma channels; NaN if the model lacks either."""
        luma = [channel for channel in self.channels if channel < 64]
        return self._ratio(luma, [channel for channel in self.channels if channel >= 64])

    @property
    def low_over_high(self) -> float:
        """Mean on-rate of the low over that of the high frequencies; NaN if the model lacks either.

        Low are the 16 lowest frequencies along the zigzag (T.81 figure A.6), high the 32 highest. The rates of Y, Cb
        and Cr are pooled.
        """
        low, high = set(ZIGZAG[:16]), set(ZIGZAG[32:])
        return self._ratio(*([channel for channel in self.channels if channel % 64 in part] for part in (low, high)))

    def _ratio(self, above: list[int], below: list[int]) -> float:
        if not above or not below:
            return math.nan
        top, bottom = (sum(self.on_rate[channel] for channel in part) / len(part) for part in (above, below))
        return top / bottom if bottom else (math.inf if top else math.nan)

    def ranking(self) -> Ranking:
        """Rank channels by on-rate, then by probability, then along the zigzag, then Y before Cb before Cr."""
        scores = {channel: (self.on_rate[channel], self.on_probability[channel]) for channel in self.channels}
        return Ranking.of("gate", scores, self.source)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON, with None for a channel that the model does not take."""
        rates = {
            name: [None if math.isnan(value) else value for value in getattr(self, name)]
            for name in ("on_rate", "on_probability")
        }
        return {"images": self.images, "source": self.source, **rates}

    @classmethod
    def from_dict(cls, value: Any) -> HeatMap:
        """Build the heat map that `to_dict` described.

        Raises:
            ValueError: the value is not a heat map.
        """
        for name in ("on_rate", "on_probability", "images", "source"):
            if not isinstance(value, dict) or name not in value:
                raise ValueError(f'not a heat map: the field "{name}" is missing')
        try:
            return cls(value["on_rate"], value["on_probability"], value["images"], value["source"])
        except TypeError as error:
            raise ValueError(f"not a heat map: a rate is not a number ({error})") from error

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> HeatMap:
        """Build the heat map that `to_json` described.

        Raises:
            ValueError: the text is not a heat map.
        """
        return cls.from_dict(parse_json(text))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the heat map as JSON."""
        write_whole(Path(path), self.to_json() + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> HeatMap:
        """Read a heat map that `save` wrote."""
        return cls.from_json(read_text(path))


@torch.inference_mode()
def heat_map(
    classifier: Classifier,
    images: Images,
    *,
    batch_size: int = 64,
    threads: int | None = None,
    progress: Progress | None = None,
    on_unread: OnUnread | None = None,
    source: str = "",
) -> HeatMap:
    """Measure how often a gated model turns each channel on, image by image.

    Images are prepared as in validation, and nothing is drawn: a channel is on if its probability exceeds 1/2.
    Unreadable images are left out.

    Args:
        classifier: a model that was trained with a gate.
        images: the images to measure on; their labels are ignored.
        batch_size: images per batch.
        threads: native threads that read; None for one per core.
        progress: called after each batch with its number of images.
        on_unread: called for each unreadable image.
        source: which model and images these are, kept with the heat map.

    Raises:
        ValueError: the model has no gate, or no image could be read.
    """
    network = classifier.network.eval()
    if not isinstance(network, GatedNetwork) or classifier.config.format is None:
        raise ValueError(
            "the model has no gate, so no channel is ever off; rank its channels by energy, loss or weights instead"
        )
    batches = evaluation_batches(
        classifier, images, batch_size=batch_size, threads=threads, progress=progress, on_unread=on_unread
    )
    return heat_map_of((network.gate(x)[1] for x, _ in batches), classifier.config.format.selection, source)


def heat_map_of(decisions: Iterable[GateDecision], selection: ChannelSelection, source: str = "") -> HeatMap:
    """Make a heat map from a gate's decisions, batch by batch.

    Args:
        decisions: one per batch, each [N, C].
        selection: the gate's channels.
        source: which model and images these are, kept with the heat map.

    Raises:
        ValueError: there is no image.
    """
    on = torch.zeros(len(selection), dtype=torch.float64)
    probability = torch.zeros_like(on)
    count = 0
    for decision in decisions:
        on += decision.on.sum(0, dtype=torch.float64).cpu()
        probability += decision.on_probability.sum(0, dtype=torch.float64).cpu()
        count += len(decision.on)
    if not count:
        raise ValueError("no image could be read")
    return HeatMap(
        _spread(selection.channels, on / count), _spread(selection.channels, probability / count), count, source
    )


def _spread(channels: Iterable[int], values: torch.Tensor) -> tuple[float, ...]:
    """Put the values of some channels in their places among 192."""
    spread = [math.nan] * CHANNEL_COUNT
    for channel, value in zip(channels, values.clamp(0, 1).tolist(), strict=True):
        spread[channel] = value
    return tuple(spread)
