"""Weights averaged over the steps of a run."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

__all__ = ["averaged"]

# Note [Short runs]
# An exponential moving average looks back over about 1 / (1 - decay) steps. In a run of fewer than twice as many steps,
# much of it would still be the untrained network. There the average ramps up instead: after n steps the decay is
# n / (n + 2), so that it looks back over about half of the steps taken so far.


def averaged(network: nn.Module, decay: float, steps: int) -> AveragedModel:
    """Return a network that averages the weights and buffers of another one, exponentially (Note [Short runs]).

    Args:
        network: call `update_parameters` with it after each step.
        decay: the share of the average that stays at each step.
        steps: of the whole run.
    """
    short = steps * (1 - decay) < 2

    def average(averages: Any, values: Any, updates: Any) -> None:
        count = int(updates)
        update = get_ema_multi_avg_fn(min(decay, count / (count + 2)) if short else decay)
        update(averages, values, updates)

    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)
