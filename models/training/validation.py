"""The scores of a network on the validation images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from jpegfreq.models.gate import GatedNetwork
from jpegfreq.models.training.distributed import total_over_processes
from jpegfreq.models.training.observer import UnreadableImages
from jpegfreq.torch import FrequencyLoader

__all__ = ["FEWEST_FOR_TOP5", "Validation", "validate"]

FEWEST_FOR_TOP5 = 10  # classes; with fewer, five guesses tell little


@dataclass(frozen=True)
class Validation:
    """Means over the validation images of all processes.

    Attributes:
        loss: cross-entropy.
        top1: accuracy, 0 to 1.
        top5: the share of images whose class is among the five likeliest; NaN for fewer than FEWEST_FOR_TOP5 classes.
        channels_on: channels that are on, by argmax; 0 without a gate.
        left_out: images that could not be read.
        rates: of each channel, the share of images for which it is on by argmax, and the mean of p(on).
    """

    loss: float
    top1: float
    top5: float
    channels_on: float
    left_out: int
    rates: tuple[list[float], list[float]]


@torch.no_grad()
def validate(
    network: nn.Module, loader: FrequencyLoader, device: torch.device, amp: bool, unreadable: UnreadableImages
) -> Validation:
    """Score a network on the whole validation source, shared among processes; the gate decides by argmax."""
    network.eval()
    loader.set_epoch(0)
    sums = torch.zeros(5, dtype=torch.float64)  # images, loss, right, among five, left out
    classes = 0
    gate = network.gate if isinstance(network, GatedNetwork) else None
    on = torch.zeros(2, 0 if gate is None else gate.mix.in_channels, dtype=torch.float64)
    for batch in loader:
        sums[4] += unreadable.count(stray.message for stray in batch.strays if not stray.read)
        if not len(batch.labels):
            continue
        x = batch.tensors.to(device).to(torch.float32)
        labels = batch.labels.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            if gate is not None and isinstance(network, GatedNetwork):
                x, decision = gate(x)
                logits = network.network(x).float()
                on += torch.stack([decision.on.sum(0), decision.on_probability.sum(0)]).double().cpu()
            else:
                logits = network(x).float()
        classes = logits.shape[1]
        likeliest = logits.topk(min(5, logits.shape[1]), 1).indices == labels[:, None]
        loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
        sums[:4] += torch.stack([torch.tensor(len(labels)), loss.cpu(), likeliest[:, 0].sum(), likeliest.sum()])
    sums, on = total_over_processes(sums), total_over_processes(on)
    images = max(float(sums[0]), 1)
    on /= images
    return Validation(
        loss=float(sums[1]) / images,
        top1=float(sums[2]) / images,
        top5=float(sums[3]) / images if classes >= FEWEST_FOR_TOP5 else math.nan,
        channels_on=float(on[0].sum()),
        left_out=int(sums[4]),
        rates=(on[0].tolist(), on[1].tolist()),
    )
