"""Lambda, steered so that a gate comes to keep a wanted number of channels on."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TargetControl"]

_PROPORTIONAL = 20.0
_INTEGRAL = 0.2  # a step
_BOUND = 50.0
_APPROACH = 0.6  # share of the training over which the set point falls to the target


@dataclass
class TargetControl:
    """A proportional-integral control of lambda by the expected number of channels on.

    The set point falls geometrically from what a new gate has to the target over the first 60 % of the training, so
    that the task has time to tell the channels apart; then it stays. Lambda may become negative: it then opens
    channels.

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

    def step(self, expected: float, share: float) -> None:
        """After a step: `expected` channels were on by their probabilities, `share` of the training has passed."""
        if self.start is None:
            self.start = expected
        approach = min(share / _APPROACH, 1.0)
        set_point = self.start * (self.target / self.start) ** approach
        error = (expected - set_point) / self.channels
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
