"""Lambda, steered so that a gate comes to keep a wanted number of channels on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["TargetControl", "decision_weight", "indecision", "missed_by", "sharpened_count"]

# Note [Gains]
# Lambda is to end near what the last channel that stays is worth to the task, about 0.01 of the loss. A step then moves
# a channel's log-odds by about 7 * lambda * p (1 - p) at the gate rate of the "modern" preset (batches of 16), so that
# an error fades in some twenty steps: slower than the ten of the momentum.
_PROPORTIONAL = 0.2
_INTEGRAL = 0.002  # a step
_BOUND = 1.0
_SHARPNESS = 8.0
_DECISION = 0.02
_NEAR = 0.15
_APPROACH = (0.1, 0.5)  # shares of the training between which the set point falls to the target
_DECIDE = (0.2, 0.8)  # and between which indecision becomes dear


def sharpened_count(on_probability: torch.Tensor) -> float:
    """Mean over images of the channels on: between the sum of p(on), [N, C], and the count by argmax.

    The sum alone is no measure of what evaluation does: 192 channels at p = 1/8 sum up to 24, and none is on.
    """
    odds = torch.logit(on_probability.detach(), 1e-6)
    return float(torch.sigmoid(_SHARPNESS * odds).sum(1).mean())


def indecision(on_probability: torch.Tensor) -> torch.Tensor:
    """Mean over images of the sum of 4 p (1 - p): the channels that training draws and evaluation does not."""
    return (4 * on_probability * (1 - on_probability)).sum(1).mean()


def missed_by(channels_on: float, target: float) -> float:
    """By how many channels a gate misses its target; 0 where it is within 15 % of it, or one channel."""
    return max(abs(channels_on - target) - max(_NEAR * target, 1.0), 0.0)


def decision_weight(share: float) -> float:
    """What an undecided channel costs after a share of the training: little while the set point falls."""
    return _DECISION * _passed(share, _DECIDE) ** 2


def _passed(share: float, between: tuple[float, float]) -> float:
    """How much of a span is over, 0 to 1."""
    begin, end = between
    return min(max((share - begin) / (end - begin), 0.0), 1.0)


@dataclass
class TargetControl:
    """A proportional-integral control of lambda by the number of channels on (`sharpened_count`).

    The set point falls geometrically from what a new gate has to the target by the middle of the training, so that the
    task has time to tell the channels apart; then it stays. Lambda may become negative: it then opens channels.

    Attributes:
        channels: the gate's.
        target: mean number of channels on that is wanted.
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
        """After a step: `count` channels were on, `share` of the training has passed."""
        if self.start is None:
            self.start = max(count, 1.0)
        set_point = self.start * (self.target / self.start) ** _passed(share, _APPROACH)
        error = (count - set_point) / self.channels
        self.integral = min(max(self.integral + _INTEGRAL * error, -_BOUND), _BOUND)
        self.gate_weight = min(max(_PROPORTIONAL * error + self.integral, -_BOUND), _BOUND)

    def state_dict(self) -> dict[str, float | None]:
        """For `load_state_dict`."""
        return {"gate_weight": self.gate_weight, "integral": self.integral, "start": self.start}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Go on where `state_dict` was taken."""
        self.gate_weight = float(state["gate_weight"] or 0)
        self.integral = float(state["integral"] or 0)
        self.start = state["start"]
