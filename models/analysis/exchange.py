"""Exchange channels near the cut of a ranking while that keeps more of a frozen network's answers.

Note [Exchange near the cut]
A gate judges all channels at once, in samples, so near the cut chance decides. There the channels are compared one by
one instead: how much farther are the answers from the targets without one of the last channels that were chosen, and
how much closer are they with one of the next? Then the least useful of the former is exchanged for the most useful of
the latter, as long as that brings the answers closer to the targets by more than its standard error over the images.
No gradient is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from jpegfreq.channels import ChannelSelection
from jpegfreq.models.analysis.frozen import FrozenNetwork
from jpegfreq.models.analysis.ranking import Ranking, select

__all__ = ["compared", "exchange_work", "exchanged"]

_NEAR = 10  # channels on each side of the cut
_EXCHANGES = 6  # that are tried
_MOST_COMPARED = 200  # images
_SHARE = 1 / 16  # images to compare on, of those that a gate sees with repetitions, so that short runs stay short


def compared(training: int, seen: int) -> int:
    """Return on how many images to compare channels.

    Args:
        training: how many images there are to learn from.
        seen: how many the gate learned from, with repetitions.
    """
    return max(1, min(training, _MOST_COMPARED, round(seen * _SHARE)))


def exchange_work(channels: int, count: int, images: int) -> int:
    """Return how many images `exchanged` gives the network: the sum of what the network's `advance` is called with.

    Args:
        channels: that the ranking holds.
        count: that are chosen.
        images: on which channels are compared.
    """
    return images * (1 + min(count - 1, _NEAR) + min(channels - count, _NEAR) + _EXCHANGES)


def exchanged(
    frozen: FrozenNetwork, ranking: Ranking, count: int, images: int, *, amp: bool = False
) -> ChannelSelection:
    """Choose the channels that matter most, and exchange some near the cut. See Note [Exchange near the cut].

    The first channel of the ranking always stays.

    Args:
        frozen: the network, and the images to learn from.
        ranking: of the network's channels.
        count: how many channels to choose.
        images: how many of the images to compare on; they are evenly spaced.
        amp: run the network in bfloat16.
    """
    spaced = np.linspace(0, len(frozen.training) - 1, images).round()
    sample = [frozen.training[int(place)] for place in spaced]

    def distances(channels: Sequence[int]) -> Tensor:
        logits = frozen.answers(sample, frozen.only(ChannelSelection(tuple(channels))), amp=amp)
        return nn.functional.kl_div(logits.log_softmax(1), frozen.targets[sample], reduction="none").sum(1)

    start = select(ranking, count)
    chosen = list(ranking.channels[:count])
    now = distances(chosen)
    losses, gains = {}, {}
    for channel in chosen[1:][-_NEAR:]:
        losses[channel] = float((distances([other for other in chosen if other != channel]) - now).mean())
    for channel in ranking.channels[count : count + _NEAR]:
        gains[channel] = float((now - distances([*chosen, channel])).mean())
    leaving, coming = sorted(losses, key=losses.__getitem__), sorted(gains, key=gains.__getitem__, reverse=True)
    tries = 0
    while leaving and coming and gains[coming[0]] > losses[leaving[0]] and tries < _EXCHANGES:
        tries += 1
        candidate = [channel for channel in chosen if channel != leaving[0]] + [coming.pop(0)]
        found = distances(candidate)
        if _is_closer(found, now):
            chosen, now = candidate, found
            leaving.pop(0)
    frozen.advance((_EXCHANGES - tries) * images)
    return ChannelSelection(tuple(sorted(chosen)), start.name)


def _is_closer(found: Tensor, now: Tensor) -> bool:
    """Return whether distances, one for each image, are smaller by more than the standard error of their difference."""
    gain = now - found
    error = float(gain.std(correction=0)) / math.sqrt(len(gain))
    return float(gain.mean()) > error
