"""The gate's cost per channel, lambda: fixed, or steered until a wanted number of channels is on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Descent", "Steering", "TargetControl", "indecision", "missed_by", "sharpened_count", "steps_to_target"]

# Note [Gains]
# At the end of a run, lambda should be close to what the last channel that stays is worth to the task, about 0.01 of
# the loss. A step then moves a channel's log-odds by about 7 * lambda * p (1 - p) at the gate learning rate of the
# "modern" preset (batches of 16), so that an error fades within about twenty steps. That is slower than the ten steps
# of the momentum.
_PROPORTIONAL = 0.2
_INTEGRAL = 0.002  # per step
_BOUND = 1.0
_SHARPNESS = 8.0
_DECISION = 0.02
_NEAR = 0.15
_APPROACH = (0.1, 0.5)  # the set point falls to the target between these shares of the training
_DECIDE = (0.2, 0.8)  # undecided channels become expensive between these
_STEPS, _USUAL_GAIN, _FASTEST = 300, 7.0, 5.0  # `steps_to_target`


def sharpened_count(on_probability: Tensor) -> float:
    """Return how many channels are on, as a smooth number close to the count by argmax; the mean over images.

    The sum of p(on) does not measure what evaluation does: 192 channels at p = 1/8 sum up to 24, and none is on.

    Args:
        on_probability: [N, C].
    """
    odds = torch.logit(on_probability.detach(), 1e-6)
    return float(torch.sigmoid(_SHARPNESS * odds).sum(1).mean())


def indecision(on_probability: Tensor) -> Tensor:
    """Return the mean over images of the sum of 4 p (1 - p): how far training's samples are from evaluation's choice.

    Args:
        on_probability: [N, C].
    """
    return (4 * on_probability * (1 - on_probability)).sum(1).mean()


def missed_by(channels_on: float, target: float) -> float:
    """Return by how many channels a gate misses its target; 0 if it is within 15 % of it, or within one channel."""
    return max(abs(channels_on - target) - max(_NEAR * target, 1.0), 0.0)


def _passed(share: float, between: tuple[float, float]) -> float:
    """Return how much of a span is over, 0 to 1."""
    begin, end = between
    return min(max((share - begin) / (end - begin), 0.0), 1.0)


@dataclass
class TargetControl:
    """A proportional-integral control of lambda by the number of channels on (`sharpened_count`).

    The set point falls geometrically from the count of a new gate to the target by the middle of the training, so that
    the task has time to tell the channels apart; then it stays. Lambda may become negative: it then opens channels.

    Attributes:
        channels: how many the gate has.
        target: the wanted mean number of channels on.
        gate_weight: lambda now.
        integral: the control's memory.
        start: where the set point begins; None before the first step.
    """

    channels: int
    target: float
    gate_weight: float = 0.0
    integral: float = 0.0
    start: float | None = None

    def step(self, count: float, share: float) -> None:
        """Set lambda after a step.

        Args:
            count: channels that were on in the step.
            share: of the training that has passed, 0 to 1.
        """
        if self.start is None:
            self.start = max(count, 1.0)
        set_point = self.start * (self.target / self.start) ** _passed(share, _APPROACH)
        error = (count - set_point) / self.channels
        self.integral = min(max(self.integral + _INTEGRAL * error, -_BOUND), _BOUND)
        self.gate_weight = min(max(_PROPORTIONAL * error + self.integral, -_BOUND), _BOUND)


# Note [Descent]
# What a channel is worth differs by orders of magnitude between networks, and grows while others close, so this control
# works with logarithms: lambda is multiplied, and the error is a ratio. The count follows the set point, which falls by
# about 1.6 % per step over 120 steps, with a damping of 0.7.
_DESCENT = 0.75  # of the steps
_FIRST_PRICE, _LOWEST_PRICE, _HIGHEST_PRICE = 0.003, 1e-6, 10.0
_LOG_PROPORTIONAL, _LOG_INTEGRAL = 8.0, 0.5


@dataclass
class Descent:
    """Lambda for a gate in front of a frozen network: the expected count falls geometrically, then stays.

    See Note [Descent].

    Attributes:
        start: the expected count of the new gate.
        target: that at the end, reached after three quarters of the steps.
        gate_weight: lambda now.
        integral: the control's memory, the logarithm of a price.
    """

    start: float
    target: float
    gate_weight: float = _FIRST_PRICE
    integral: float = math.log(_FIRST_PRICE)

    def step(self, count: float, share: float) -> None:
        """Set lambda after a step.

        Args:
            count: the sum of p(on), the mean over images.
            share: of the steps that have passed, 0 to 1.
        """
        set_point = self.start * (self.target / self.start) ** min(share / _DESCENT, 1)
        excess = math.log(max(count, 1e-6) / set_point)
        self.integral += _LOG_INTEGRAL * excess
        self.integral = min(max(self.integral, math.log(_LOWEST_PRICE)), math.log(_HIGHEST_PRICE))
        self.gate_weight = min(math.exp(self.integral + _LOG_PROPORTIONAL * excess), _HIGHEST_PRICE)


class Steering:
    """What a gate costs in the loss of a run: a fixed lambda per channel, or one that a TargetControl sets.

    Attributes:
        weight: lambda now.
    """

    def __init__(self, gate_weight: float, *, channels: int, target: float | None) -> None:
        """Start a run.

        Args:
            gate_weight: the fixed lambda; unused with a target.
            channels: how many the gate has.
            target: the mean number of channels on to steer to; None keeps lambda.
        """
        self._control = None if target is None else TargetControl(channels, target)
        self.weight = gate_weight if self._control is None else self._control.gate_weight

    @property
    def steers(self) -> bool:
        """Whether lambda is steered."""
        return self._control is not None

    def indecision_loss(self, on_probability: Tensor, share: float) -> Tensor:
        """Return the loss of undecided channels, for a steered gate: small at first, while the set point falls.

        Args:
            on_probability: [N, C].
            share: of the training that has passed, 0 to 1.
        """
        return _DECISION * _passed(share, _DECIDE) ** 2 * indecision(on_probability)

    def step(self, count: float, share: float) -> None:
        """Set lambda after a step, as `TargetControl.step`; a fixed one stays."""
        if self._control is not None:
            self._control.step(count, share)
            self.weight = self._control.gate_weight

    def state_dict(self) -> dict[str, float | None]:
        """Return what `load_state_dict` needs."""
        if self._control is None:
            return {}
        return {name: getattr(self._control, name) for name in ("gate_weight", "integral", "start")}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Continue from where `state_dict` was taken."""
        if self._control is not None:
            for name, value in state.items():
                setattr(self._control, name, value)
            self.weight = self._control.gate_weight


def steps_to_target(rate: float, momentum: float) -> int:
    """Return about how many steps a gate needs to reach a target far below what a new gate has on.

    With the gains of Note [Gains], runs of 228 steps missed their target, and runs of 600 and 1000 steps met it. A
    faster gate needs fewer steps, but not fewer than the control takes to settle.

    Args:
        rate: the gate's highest learning rate.
        momentum: of the gate's SGD.
    """
    gain = 2 * rate / max(1 - momentum, 1e-9)  # two logits per channel, on and off, move apart
    return round(_STEPS / min(max(gain / _USUAL_GAIN, 1e-9), _FASTEST))
