"""The paper's gate: which frequency channels an image needs (Xu et al., CVPR 2020, section 3.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["ChannelGate", "GateDecision", "GatedNetwork", "GatedOutput"]


class GateDecision(NamedTuple):
    """What a gate decided for each image and channel.

    Attributes:
        on_probability: [N, C], the probability that a channel is on: the second of its softmax pair. Differentiable.
        on: [N, C], 0 or 1. In training a Bernoulli sample whose gradient is the relaxed sample's (straight-through);
            in evaluation 1 where on_probability exceeds 1/2, without noise.
    """

    on_probability: Tensor
    on: Tensor


class GatedOutput(NamedTuple):
    """What a GatedNetwork gives in training.

    Attributes:
        logits: [N, classes].
        gate: the decisions behind them.
    """

    logits: Tensor
    gate: GateDecision


class ChannelGate(nn.Module):
    """Turns channels of a frequency tensor on or off, image by image.

    Global average pool, a 1 x 1 convolution C -> C with batch norm and ReLU, two numbers a channel (a grouped 1 x 1
    convolution), softmax. Training draws from Bernoulli(on_probability) by the Gumbel-softmax trick; evaluation takes
    the likelier of the two. A channel that is off is zero, which after normalization is its mean.

    A new gate is on with probability 0.87 (logits 0.1 off, 2.0 on).

    Attributes:
        temperature: of the Gumbel-softmax; the training loop may change it.
    """

    def __init__(self, channels: int, temperature: float = 1.0) -> None:
        """A gate for tensors [N, channels, H, W]."""
        super().__init__()
        self.temperature = temperature
        self.mix = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.pair = nn.Conv2d(channels, 2 * channels, 1, groups=channels)
        nn.init.normal_(self.mix.weight, std=0.001)
        nn.init.normal_(self.pair.weight, std=0.001)
        with torch.no_grad():
            assert self.pair.bias is not None
            self.pair.bias.copy_(torch.tensor([0.1, 2.0]).repeat(channels))

    def forward(self, x: Tensor) -> tuple[Tensor, GateDecision]:
        """The gated tensor, [N, C, H, W], and the decision."""
        pooled = nn.functional.adaptive_avg_pool2d(x, 1)  # [N, C, 1, 1]
        logits = self.pair(self.relu(self.bn(self.mix(pooled))))  # [N, 2 C, 1, 1]: off, on, off, on ...
        logits = logits.reshape(x.shape[0], x.shape[1], 2).float()  # [N, C, 2]
        on_probability = logits.softmax(2)[..., 1]
        if self.training:
            on = nn.functional.gumbel_softmax(logits, tau=self.temperature, hard=True, dim=2)[..., 1]
        else:
            on = (on_probability > 0.5).to(on_probability.dtype)
        return x * on.to(x.dtype)[:, :, None, None], GateDecision(on_probability, on)


class GatedNetwork(nn.Module):
    """A gate and the network behind it: logits in evaluation, a GatedOutput in training."""

    def __init__(self, gate: ChannelGate, network: nn.Module) -> None:
        """The gate's channels are those of the network's input."""
        super().__init__()
        self.gate = gate
        self.network = network

    def forward(self, x: Tensor) -> Tensor | GatedOutput:
        """From [N, C, H, W]."""
        gated, decision = self.gate(x)
        logits: Tensor = self.network(gated)
        return GatedOutput(logits, decision) if self.training else logits
