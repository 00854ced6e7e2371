"""The paper's gate, which decides which frequency channels an image needs (Xu et al., CVPR 2020, section 3.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["ChannelGate", "GateDecision", "GatedNetwork", "GatedOutput"]


class GateDecision(NamedTuple):
    """What a gate decided for each image and channel.

    Attributes:
        on_probability: [N, C], the probability that a channel is on, which is differentiable.
        on: [N, C], 0 or 1. In training it is a Bernoulli sample whose gradient is that of the relaxed sample
            (straight-through). In evaluation it is 1 where on_probability exceeds 1/2, and nothing is drawn.
    """

    on_probability: Tensor
    on: Tensor


class GatedOutput(NamedTuple):
    """What a GatedNetwork returns in training.

    Attributes:
        logits: [N, classes].
        gate: the decisions that led to them.
    """

    logits: Tensor
    gate: GateDecision


class ChannelGate(nn.Module):
    """Turn the channels of a frequency tensor on or off, image by image.

    The gate is a global average pool, a 1 x 1 convolution C -> C with batch norm and ReLU, a grouped 1 x 1 convolution
    that gives two numbers per channel, and a softmax over the two. Training draws from Bernoulli(on_probability) with
    the Gumbel-softmax trick; evaluation takes the likelier of the two. A channel that is off is set to zero, which is
    its mean if the input is normalized.

    In a new gate every channel is on with probability 0.87 (the logits are 0.1 for off and 2.0 for on).

    Attributes:
        temperature: the temperature of the Gumbel-softmax; the training loop may change it.
    """

    def __init__(self, channels: int, temperature: float = 1.0) -> None:
        """Make a gate for tensors [N, channels, H, W]."""
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
        """Return the gated tensor, [N, C, H, W], and the decision."""
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
    """A gate followed by a network. It returns logits in evaluation and a GatedOutput in training."""

    def __init__(self, gate: ChannelGate, network: nn.Module) -> None:
        """Put a gate in front of a network that takes the same channels."""
        super().__init__()
        self.gate = gate
        self.network = network

    def forward(self, x: Tensor) -> Tensor | GatedOutput:
        """Gate [N, C, H, W] and run the network."""
        gated, decision = self.gate(x)
        logits: Tensor = self.network(gated)
        return GatedOutput(logits, decision) if self.training else logits
