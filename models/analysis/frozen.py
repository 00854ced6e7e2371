"""A frozen network after a gate: what it answers on some of its channels, and a gate that learns which it needs.

Note [Gate before a frozen network]
The network is asked for its answers on all channels first. A gate then closes channels at random, and its log-odds
learn what keeps those answers: the loss is the KL divergence from them (with labels, the cross-entropy), plus lambda
times the expected number of open channels. Lambda is steered so that this number falls geometrically from 5/6 of the
channels (160 of 192) to the target over the first three quarters of the steps, and then stays.

The optimizer is plain SGD on log-odds that are kept within 6. Adam divides each gradient by its own size, so the noise
of an empty channel would count as much as the signal of a full one, and empty channels stay open.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from jpegfreq._words import counted
from jpegfreq.channels import CHANNEL_COUNT, ChannelSelection
from jpegfreq.format import TensorFormat
from jpegfreq.models.analysis.evaluation import Progress, device_of
from jpegfreq.models.analysis.heatmap import HeatMap, heat_map_of
from jpegfreq.models.analysis.ranking import Ranking, energy_ranking
from jpegfreq.models.gate import ChannelGate, GateDecision, StaticGate
from jpegfreq.models.training.steering import Descent
from jpegfreq.statistics import ChannelStatistics, StatisticsAccumulator

__all__ = ["MOST", "FrozenNetwork", "Learned", "Measured", "by_probability"]

MOST = 5 / 6  # the share of the channels with which the descent begins
_EVALUATED = 16  # images per batch, without gradients; batches of 50 leave the caches and take twice as long per image
_RATE, _MOMENTUM, _LARGEST = 15.0, 0.7, 6.0
_READING_RATE = 0.01  # of the weights that read the image in a gate per image, as a share of the rate

G = TypeVar("G", ChannelGate, StaticGate)


@dataclass(frozen=True)
class Measured:
    """How well the network answers on some of its channels, on the held-out images.

    Attributes:
        by: how the channels were chosen: "gate", "preset" or "energy".
        selection: the channels; the others stand at their mean.
        agreement: the share of images with the same answer (top-1) as on all channels.
        accuracy: the share of images with the right answer; None without labels.
    """

    by: str
    selection: ChannelSelection
    agreement: float
    accuracy: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return {
            "by": self.by,
            "count": len(self.selection),
            "agreement": self.agreement,
            "accuracy": self.accuracy,
            "channels": list(self.selection),
        }


@dataclass(frozen=True)
class Learned:
    """A gate when about so many channels were left, in evaluation mode, and its heat map."""

    gate: ChannelGate | StaticGate
    heat: HeatMap

    @property
    def ranking(self) -> Ranking:
        """The channels, ranked by the probability that the gate opens them."""
        return by_probability(self.heat)


def by_probability(heat: HeatMap) -> Ranking:
    """Rank channels by the probability that they are on."""
    scores = {channel: (heat.on_probability[channel],) for channel in heat.channels}
    return Ranking.of("gate", scores, heat.source)


class FrozenNetwork:
    """A network whose weights stay, the images that it is asked about, and its answers on all channels.

    Attributes:
        full: [N], its answers (top-1).
        energy: the channels ranked by their energy in the images to learn from.
    """

    def __init__(
        self,
        network: nn.Module,
        inputs: Tensor,
        labels: Tensor | None,
        format: TensorFormat,
        training: Sequence[int],
        advance: Progress,
    ) -> None:
        """Ask the network about all images.

        Args:
            network: as for `find_needs`.
            inputs: likewise.
            labels: likewise.
            format: likewise.
            training: the numbers of the images to learn from.
            advance: called with the number of images after each pass of some.

        Raises:
            ValueError: the network's outputs do not fit.
        """
        self.device = device_of(network)
        # A copy, so that the network keeps its modes, its gradients and its memory order, in which this is faster.
        self.network = copy.deepcopy(network).eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self.inputs, self.labels, self.selection, self.advance = inputs, labels, format.selection, advance
        self.training = list(training)
        logits = self.answers(range(len(inputs)))
        if logits.ndim != 2:
            raise ValueError(f"the network must give [N, classes], but it gives {list(logits.shape)}")
        classes = logits.shape[1]
        if labels is not None and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(
                f"labels must be class numbers from 0 to {classes - 1}, but they go from {int(labels.min())} to "
                f"{int(labels.max())}"
            )
        self.full = logits.argmax(1)
        self.targets = logits.softmax(1) if labels is None else nn.functional.one_hot(labels, classes).float()
        statistics = format.statistics or self._measured()
        self.energy = energy_ranking(statistics, tuple(self.selection))
        # Channels that the format normalizes have their mean at zero.
        means = statistics.mean if format.statistics is None else (0.0,) * CHANNEL_COUNT
        self.means = torch.tensor([means[channel] for channel in self.selection])  # [C]

    @torch.inference_mode()
    def answers(self, images: Sequence[int], gate: nn.Module | None = None, *, amp: bool = False) -> Tensor:
        """Return the network's logits, [N, classes], on the channels that a gate leaves open; with amp in bfloat16."""
        parts = []
        for start in range(0, len(images), _EVALUATED):
            x = self._batch(images[start : start + _EVALUATED])
            x = x if gate is None else gate(x)[0]
            with torch.autocast(self.device.type, torch.bfloat16, enabled=amp):
                logits = self.network(x.contiguous(memory_format=torch.channels_last))
            parts.append(logits.float().cpu())
            self.advance(len(x))
        return torch.cat(parts)

    def only(self, selection: ChannelSelection) -> StaticGate:
        """Make a gate that leaves some of the channels open, and all others at their mean."""
        gate = self._new_gate(StaticGate(len(self.selection)))
        chosen = torch.tensor([channel in set(selection) for channel in self.selection])
        with torch.no_grad():
            gate.log_odds.copy_(torch.where(chosen, _LARGEST, -_LARGEST))
        return gate.eval()

    def measure(self, by: str, selection: ChannelSelection, images: Sequence[int]) -> Measured:
        """Measure the network on some of its channels, with the others at their mean."""
        logits = self.answers(images, self.only(selection))
        return Measured(by, selection, self.agreement(images, logits), self.accuracy(images, logits.argmax(1)))

    def agreement(self, images: Sequence[int], logits: Tensor) -> float:
        """Return the share of images whose answer is that on all channels."""
        return float((logits.argmax(1) == self.full[list(images)]).double().mean())

    def accuracy(self, images: Sequence[int], answers: Tensor) -> float | None:
        """Return the share of images whose answer is right; None without labels."""
        return None if self.labels is None else float((answers == self.labels[list(images)]).double().mean())

    def learn(
        self,
        along: Sequence[int],
        target: int,
        *,
        steps: int,
        batch: int,
        per_image: Sequence[int] | None = None,
        amp: bool = False,
        seed: int = 0,
        source: str = "",
    ) -> dict[int, Learned]:
        """Let a gate learn while the number of open channels falls to the target.

        Args:
            along: the numbers of channels at which to keep the gate, descending; those below the target get the last.
            target: of the descent.
            steps: of the optimizer.
            batch: images per step.
            per_image: the images to measure a gate per image on; None for a static gate.
            amp: as for `find_needs`.
            seed: of the samples and of the images' order.
            source: kept with the heat maps.
        """
        channels = len(self.selection)
        gate: ChannelGate | StaticGate = (
            self._new_gate(StaticGate(channels, MOST)) if per_image is None else self._new_gate(ChannelGate(channels))
        )
        optimizer = torch.optim.SGD(_groups(gate), lr=_RATE, momentum=_MOMENTUM)
        control = Descent(MOST * channels, target)
        kept: dict[int, ChannelGate | StaticGate] = {}
        random = np.random.default_rng(seed)
        order: list[int] = []
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for step in range(1, steps + 1):
                if len(order) < batch:
                    order += random.permutation(self.training).tolist()
                images, order = order[:batch], order[batch:]
                on_probability, loss = self._loss(gate.train(), images, amp)
                optimizer.zero_grad()
                (loss + control.gate_weight * on_probability.sum(1).mean()).backward()
                optimizer.step()
                _keep_within(gate)
                count = float(on_probability.detach().sum(1).mean())
                control.step(count, step / steps)
                for number in along:
                    if count <= number and number > target and number not in kept:
                        kept[number] = copy.deepcopy(gate)
                self.advance(batch)
        return {
            number: Learned(learned, self._heat(learned, per_image, source))
            for number in along
            for learned in [kept.get(number, gate).eval()]
        }

    def _loss(self, gate: nn.Module, images: list[int], amp: bool) -> tuple[Tensor, Tensor]:
        """Return p(on), [N, C], and how far the answers after a gate are from the targets."""
        x, decision = gate(self._batch(images))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=amp):
            logits = self.network(x.contiguous(memory_format=torch.channels_last)).float()
        targets = self.targets[images].to(self.device)
        return decision.on_probability, nn.functional.kl_div(logits.log_softmax(1), targets, reduction="batchmean")

    @torch.inference_mode()
    def _heat(self, gate: ChannelGate | StaticGate, images: Sequence[int] | None, source: str) -> HeatMap:
        """Make the heat map of a gate; that of a static gate needs no images."""
        if isinstance(gate, StaticGate):
            probability = gate.log_odds.detach().sigmoid()[None]
            one = heat_map_of([GateDecision(probability, probability)], self.selection, source)
            return replace(one, images=len(self.training))
        assert images is not None
        starts = range(0, len(images), _EVALUATED)
        decisions = (gate(self._batch(images[start : start + _EVALUATED]))[1] for start in starts)
        return heat_map_of(decisions, self.selection, source)

    def _new_gate(self, gate: G) -> G:
        gate.close_at(self.means)
        return gate.to(self.device)

    def _batch(self, images: Sequence[int]) -> Tensor:
        return self.inputs[list(images)].to(self.device, torch.float32)

    def _measured(self) -> ChannelStatistics:
        """Measure the statistics of the images to learn from; channels that the network does not take count as 0."""
        accumulator = StatisticsAccumulator()
        for start in range(0, len(self.training), _EVALUATED):
            some = self._batch(self.training[start : start + _EVALUATED]).cpu().numpy()
            values = np.zeros((len(some), CHANNEL_COUNT, *some.shape[2:]), np.float32)
            values[:, list(self.selection)] = some
            accumulator.update(values)
        return accumulator.statistics(counted(len(self.training), "image"))


def _groups(gate: ChannelGate | StaticGate) -> list[dict[str, Any]]:
    """Return a gate's parameters for the optimizer.

    A gate per image has two biases for each log-odds, so at half the rate they move as a static gate does. The weights
    that read the image get less, because a large step of theirs moves every channel.
    """
    if isinstance(gate, StaticGate):
        return [{"params": [gate.log_odds]}]
    biases = [gate.pair.bias]
    others = [parameter for parameter in gate.parameters() if parameter is not gate.pair.bias]
    return [{"params": biases, "lr": _RATE / 2}, {"params": others, "lr": _RATE * _READING_RATE}]


@torch.no_grad()
def _keep_within(gate: ChannelGate | StaticGate) -> None:
    """Keep the log-odds within bounds, so that a channel can still change its mind."""
    if isinstance(gate, StaticGate):
        gate.log_odds.clamp_(-_LARGEST, _LARGEST)
    else:
        assert gate.pair.bias is not None
        gate.pair.bias.clamp_(-_LARGEST / 2, _LARGEST / 2)
