"""What a network costs: multiply-adds, parameters and the size of its input."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from jpegfreq._words import counted
from jpegfreq.models.networks.adapt import adaptation_of

__all__ = ["ModelSummary", "model_summary"]


@dataclass(frozen=True)
class ModelSummary:
    """What a network costs per image.

    Attributes:
        macs: multiply-adds of convolutions and matrix products; papers call the 4.09 billion of ResNet-50 "GFLOPs".
        parameters: trainable numbers.
        normalized_input_size: the number of input values, divided by that of the RGB image which reaches the network's
            first stage on the same grid: 24 channels at 56 x 56 over 3 x 224 x 224 give 0.5. An RGB network has 1.0.
        input_shape: (C, H, W): channels, height, width.
    """

    macs: int
    parameters: int
    normalized_input_size: float
    input_shape: tuple[int, int, int]

    def __repr__(self) -> str:
        """Give each figure its unit."""
        channels, height, width = self.input_shape
        return (
            f"ModelSummary({self.macs / 1e9:.3g} GMAC, {self.parameters / 1e6:.3g} million parameters, input of "
            f"{counted(channels, 'channel')} x height {height} x width {width}: {self.normalized_input_size:.3g} "
            "times the values of its RGB image)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return asdict(self) | {"input_shape": list(self.input_shape)}


def model_summary(network: nn.Module, input_shape: tuple[int, int, int]) -> ModelSummary:
    """Count the work of a network in evaluation mode, without doing it.

    Args:
        network: from `create_model`; it is not changed.
        input_shape: (C, H, W) of one image's tensor.

    >>> model_summary(create_model("resnet50", format=TensorFormat(24), num_classes=1000), (24, 56, 56)).macs
    3931029504
    """
    shadow = copy.deepcopy(network).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.empty(1, *input_shape, device="meta"))
    channels, height, width = input_shape
    stem_stride = adaptation_of(network).stem_stride
    return ModelSummary(
        macs=counter.get_total_flops() // 2,
        parameters=sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        normalized_input_size=math.prod(input_shape) / (3 * height * stem_stride * width * stem_stride),
        input_shape=(channels, height, width),
    )
