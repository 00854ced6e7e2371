"""Gates that decide which frequency channels are needed: by an image (Xu et al., CVPR 2020, section 3.3), or by all."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["ChannelGate", "GateDecision", "GatedNetwork", "GatedOutput", "StaticGate"]


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


class _Gate(nn.Module):
    """What the gates share: they draw decisions, and a channel that is off stands at its mean.

    Attributes:
        temperature: the temperature of the samples' relaxation; the training loop may change it.
        closed: [C], the value of a channel that is off: zero, the mean of a normalized channel, unless `close_at` sets
            another one.
    """

    closed: Tensor

    def __init__(self, channels: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.register_buffer("closed", torch.zeros(channels))

    def close_at(self, means: Tensor) -> None:
        """Set what a channel that is off stands at, for tensors that are not normalized.

        Args:
            means: [C], the mean of each channel.
        """
        self.closed.copy_(means)

    def _decide(self, x: Tensor, log_odds: Tensor) -> tuple[Tensor, GateDecision]:
        """Close channels of x, [N, C, H, W], by the log-odds that they are on, [N, C]."""
        on_probability = log_odds.sigmoid()
        if self.training:
            # The difference of two Gumbel variables is a logistic one, so this is the Gumbel-softmax over off and on.
            noise = torch.rand_like(log_odds).clamp(1e-6, 1 - 1e-6).logit()
            relaxed = ((log_odds + noise) / self.temperature).sigmoid()
            on = (relaxed > 0.5).to(relaxed.dtype) + (relaxed - relaxed.detach())  # exactly 0 or 1
        else:
            on = (on_probability > 0.5).to(on_probability.dtype)
        shares = on.to(x.dtype)[:, :, None, None]
        closed = self.closed.to(x.dtype)[:, None, None]
        return x * shares + closed * (1 - shares), GateDecision(on_probability, on)


class ChannelGate(_Gate):
    """Turn the channels of a frequency tensor on or off, image by image.

    The gate is a global average pool, a 1 x 1 convolution C -> C with batch norm and ReLU, a grouped 1 x 1 convolution
    that gives two numbers per channel, and a softmax over the two. Training draws from Bernoulli(on_probability) with
    the Gumbel-softmax trick; evaluation takes the likelier of the two. A channel that is off stands at its mean, which
    is zero if the input is normalized.

    In a new gate every channel is on with probability 0.87 (the logits are 0.1 for off and 2.0 for on).
    """

    def __init__(self, channels: int, temperature: float = 1.0) -> None:
        """Make a gate for tensors [N, channels, H, W]."""
        super().__init__(channels, temperature)
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
        return self._decide(x, logits[..., 1] - logits[..., 0])


class StaticGate(_Gate):
    """Turn the channels of a frequency tensor on or off, with the same probabilities for every image.

    Training draws each channel of each image from Bernoulli(on_probability), as ChannelGate does.

    Attributes:
        log_odds: [C], the log-odds that a channel is on.
    """

    def __init__(self, channels: int, start: float = 0.87, temperature: float = 1.0) -> None:
        """Make a gate for tensors [N, channels, H, W] whose channels are on with the probability `start`."""
        super().__init__(channels, temperature)
        self.log_odds = nn.Parameter(torch.full((channels,), start).logit())

    def forward(self, x: Tensor) -> tuple[Tensor, GateDecision]:
        """Return the gated tensor, [N, C, H, W], and the decision."""
        return self._decide(x, self.log_odds.expand(len(x), -1))


class GatedNetwork(nn.Module):
    """A gate followed by a network. It returns logits in evaluation and a GatedOutput in training."""

    def __init__(self, gate: ChannelGate, network: nn.Module) -> None:
        """Put a gate in front of a network that takes the same channels."""
        super().__init__()
        self.gate = gate
        self.network = network

    def forward(self, x: Tensor) -> Tensor | GatedOutput:
        """Gate [N, C, H, W] and run the network."""
        if not x.is_floating_point():  # int8, in steps of its format
            x = x.to(self.gate.closed.dtype)
        gated, decision = self.gate(x)
        logits: Tensor = self.network(gated)
        return GatedOutput(logits, decision) if self.training else logits
