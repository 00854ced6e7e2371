"""Find which channels a trained network needs: a gate learns it in front of the frozen network, without labels."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from jpegfreq._arguments import whole_number
from jpegfreq._files import write_whole
from jpegfreq._words import counted, verb
from jpegfreq.channels import PRESETS, ChannelSelection
from jpegfreq.format import TensorFormat
from jpegfreq.models.analysis.evaluation import Progress
from jpegfreq.models.analysis.exchange import compared, exchange_work, exchanged
from jpegfreq.models.analysis.frozen import MOST, FrozenNetwork, Measured, by_probability
from jpegfreq.models.analysis.heatmap import HeatMap
from jpegfreq.models.analysis.ranking import Ranking, save_selection, select

__all__ = ["CURVE", "LEAST_STEPS", "Needs", "check_plan", "fewest_images", "find_needs", "held_out", "needs_work"]

CURVE = (6, 16, 24, 32, 48, 64, 96, 128, 192)  # numbers of channels at which the curve is measured
LEAST_STEPS = 40
_HELD_OUT = 4  # every fourth image


@dataclass(frozen=True)
class Needs:
    """Which channels a network needs; everything is measured on images that the gate did not learn from.

    Attributes:
        counts: the numbers of channels that were asked for, ascending.
        heat: what the gate had learned when each of these numbers of channels was left. For a static gate both rates
            are the probability that a channel is on; for a gate per image they are measured, as `heat_map` does.
        measured: the choices of the gate, the presets and the energy, at each number of channels and along the curve.
        full_accuracy: the accuracy on all channels; None without labels.
        gated_agreement: for a gate per image, the share of images with the same answer (top-1) after the gate as on
            all channels, at the smallest number of channels; None for a static gate.
        images: how many images the gate learned from.
        held_out: how many others there are.
        source: which network and images these are.
    """

    counts: tuple[int, ...]
    heat: Mapping[int, HeatMap]
    measured: tuple[Measured, ...]
    full_accuracy: float | None
    gated_agreement: float | None
    images: int
    held_out: int
    source: str

    def __repr__(self) -> str:
        """Give the agreement at each number of channels."""
        found = ", ".join(f"{count}: {self.of('gate', count).agreement:.1%}" for count in self.counts)
        return (
            f"Needs(agreement by channels {found}; {counted(self.held_out, 'held-out image')}; source={self.source!r})"
        )

    def ranking(self, count: int) -> Ranking:
        """Rank the channels by the probability that the gate opens them when about `count` are left."""
        return by_probability(self.heat[count])

    def of(self, by: str, count: int) -> Measured:
        """Return what was measured on one choice of so many channels.

        Raises:
            KeyError: it was not measured.
        """
        for measured in self.measured:
            if (measured.by, len(measured.selection)) == (by, count):
                return measured
        raise KeyError(f"nothing was measured on {counted(count, 'channel')} by {by}")

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {
            "source": self.source,
            "images": self.images,
            "held_out": self.held_out,
            "counts": list(self.counts),
            "full_accuracy": self.full_accuracy,
            "gated_agreement": self.gated_agreement,
            "measured": [measured.to_dict() for measured in self.measured],
            "heat": {str(count): heat.to_dict() for count, heat in self.heat.items()},
        }

    def save(self, folder: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> list[Path]:
        """Write needs.json, and learnedN.json for each number of channels; return the files.

        Each learnedN.json is a ChannelSelection with its origin, as `--channels` takes it.

        Args:
            folder: must exist.
            options: of the run that found this, as JSON can hold them; needs.json keeps them.
        """
        written = []
        for count in self.counts:
            written.append(Path(folder, f"learned{count}.json"))
            save_selection(written[-1], self.of("gate", count).selection, self.ranking(count))
        written.append(Path(folder, "needs.json"))
        facts = self.to_dict() if options is None else {**self.to_dict(), "options": dict(options)}
        write_whole(written[-1], json.dumps(facts, indent=1) + "\n")
        return written


def fewest_images(batch: int) -> int:
    """Return the least number of images for steps of `batch` images: so many are left when every fourth is held out."""
    return max((_HELD_OUT * batch - 1) // (_HELD_OUT - 1), _HELD_OUT)


def held_out(images: int) -> tuple[list[int], list[int]]:
    """Split images, by their numbers: every fourth one is held out, however they are ordered.

    Returns:
        The images to learn from, and the held-out ones.
    """
    kept = range(_HELD_OUT - 1, images, _HELD_OUT)
    return sorted(set(range(images)) - set(kept)), list(kept)


def needs_work(
    images: int,
    counts: Sequence[int],
    selection: ChannelSelection | None = None,
    *,
    steps: int = 160,
    batch: int = 20,
    per_image: bool = False,
) -> int:
    """Return how many images `find_needs` gives the network in all: the sum of what its `progress` is called with.

    Args:
        images: how many there are.
        counts: as for `find_needs`.
        selection: the network's channels; None for all.
        steps: as for `find_needs`.
        batch: as for `find_needs`.
        per_image: as for `find_needs`.
    """
    selection = selection or ChannelSelection.all()
    training, kept = held_out(images)
    passes = 2 * len(_along(counts, len(selection))) + len(_presets(selection)) + per_image
    sample = compared(len(training), steps * batch)
    exchanges = sum(exchange_work(len(selection), count, sample) for count in set(counts))
    return images + steps * batch + exchanges + passes * len(kept)


def find_needs(
    network: nn.Module,
    inputs: Tensor,
    counts: Sequence[int] = (24, 48, 64),
    labels: Tensor | None = None,
    *,
    format: TensorFormat | None = None,
    steps: int = 160,
    batch: int = 20,
    per_image: bool = False,
    amp: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
    source: str = "",
) -> Needs:
    """Learn which channels a trained network needs. See Note [Gate before a frozen network] in frozen.py.

    One descent serves every number of channels: the choice of 48 is what the gate prefers when 48 are left on its way
    to 24. For the numbers that are asked for, channels near the cut are then compared one by one; see Note [Exchange
    near the cut] in exchange.py. Along the curve the gate's own choices are measured. Every fourth image is held
    out, and all selections are measured on these images, with the channels that are missing at their mean. The network
    is not changed.

    Args:
        network: takes [N, C, H, W] and gives [N, classes]. The gate runs on its device.
        inputs: [N, C, H, W], the images' frequency tensors in the network's format, of any floating type.
        counts: the numbers of channels to choose, each from 1 to 5/6 of C.
        labels: [N], the images' class numbers, to learn what is right instead of what the network answers.
        format: the format of the inputs; None for the network's own, if it has one, or else all channels without
            statistics. A missing channel stands at the mean in the format's statistics, or else of these inputs.
        steps: of the optimizer, at least 40; in fewer, channels close faster than the gate can tell which.
        batch: images per step.
        per_image: let the gate decide image by image (ChannelGate) instead of once for all (StaticGate).
        amp: run the network in bfloat16 until the choice is made; everything is measured in float32.
        seed: of the samples and of the images' order.
        progress: called after each step with its number of images; `needs_work` is the total.
        source: which network and images these are, kept with the result.

    Raises:
        ValueError: there are too few images, a number of channels is out of range, or the inputs, the labels or the
            network's outputs do not fit.
    """
    format = format or getattr(network, "format", None) or TensorFormat()
    counts = check_plan(counts, format.selection, steps=steps, batch=batch)
    _check_images(inputs, labels, format, batch)
    training, kept = held_out(len(inputs))
    frozen = FrozenNetwork(network, inputs, labels, format, training, progress or (lambda images: None))
    heats = frozen.learn(
        _along(counts, len(format.selection)),
        counts[0],
        steps=steps,
        batch=batch,
        per_image=kept if per_image else None,
        amp=amp,
        seed=seed,
        source=source,
    )
    measured = []
    for count, learned in heats.items():
        chosen = select(learned.ranking, count)
        if count in counts:
            chosen = exchanged(frozen, learned.ranking, count, compared(len(training), steps * batch), amp=amp)
        measured.append(frozen.measure("gate", chosen, kept))
        measured.append(frozen.measure("energy", select(frozen.energy, count), kept))
    measured += [frozen.measure("preset", preset, kept) for preset in _presets(format.selection)]
    full = frozen.accuracy(kept, frozen.full[kept])
    measured += [Measured(by, format.selection, 1.0, full) for by in ("gate", "preset", "energy")]
    smallest = heats[counts[0]].gate
    return Needs(
        counts=counts,
        heat={count: heats[count].heat for count in counts},
        measured=tuple(measured),
        full_accuracy=full,
        gated_agreement=frozen.agreement(kept, frozen.answers(kept, smallest)) if per_image else None,
        images=len(training),
        held_out=len(kept),
        source=source,
    )


def _along(counts: Sequence[int], channels: int) -> list[int]:
    """Return the numbers of channels at which selections are measured: those asked for and the curve's, descending."""
    return sorted({count for count in (*counts, *CURVE) if count < channels}, reverse=True)


def _presets(selection: ChannelSelection) -> list[ChannelSelection]:
    """Return the presets that a network's channels contain, except all of its channels."""
    presets = [ChannelSelection.preset(count) for count in PRESETS]
    return [preset for preset in presets if set(preset) < set(selection)]


def check_plan(
    counts: Sequence[int], selection: ChannelSelection, *, steps: int = 160, batch: int = 20
) -> tuple[int, ...]:
    """Check those arguments of `find_needs` that need no images; return the counts, ascending.

    Raises:
        ValueError: one is out of range.
    """
    whole_number("batch", batch, least=1)
    whole_number("steps", steps, least=LEAST_STEPS)
    if not counts:
        raise ValueError("counts must name at least one number of channels")
    for count in counts:
        whole_number("each of counts", count, least=1, most=round(MOST * len(selection)))
    return tuple(sorted(set(counts)))


def _check_images(inputs: Tensor, labels: Tensor | None, format: TensorFormat, batch: int) -> None:
    """Check the images of `find_needs`.

    Raises:
        ValueError: there are too few, or they do not fit the format or the labels.
    """
    channels = len(format.selection)
    if inputs.ndim != 4 or inputs.shape[1] != channels or not inputs.is_floating_point():
        raise ValueError(f"inputs must be floating-point numbers [N, {channels}, H, W], not {list(inputs.shape)}")
    if len(inputs) < fewest_images(batch):
        raise ValueError(
            f"there {verb(len(inputs))} {counted(len(inputs), 'image')}, but steps of {batch} need at least "
            f"{fewest_images(batch)}, because every fourth image is held out to measure on: give more images, or a "
            "smaller batch size"
        )
    if labels is not None and labels.shape != (len(inputs),):
        raise ValueError(f"labels must be [{len(inputs)}], one for each image, not {list(labels.shape)}")
