"""What a network costs: multiply-adds, parameters, input values."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from jpegfreq.models.networks.adapt import adaptation_of

__all__ = ["ModelSummary", "model_summary"]


@dataclass(frozen=True)
class ModelSummary:
    """What a network costs an image.

    Attributes:
        macs: multiply-adds of convolutions and matrix products; what papers call 4.09 "GFLOPs" for ResNet-50.
        parameters: trainable numbers.
        normalized_input_size: values of the input over those of the RGB image that meets the network's first stage at
            the same grid: 24 channels at 56 x 56 over 3 x 224 x 224 are 0.5. 1.0 for an RGB network.
        input_shape: (C, H, W).
    """

    macs: int
    parameters: int
    normalized_input_size: float
    input_shape: tuple[int, int, int]


def model_summary(network: nn.Module, input_shape: tuple[int, int, int]) -> ModelSummary:
    """Count a network's work in evaluation, without doing it.

    Args:
        network: from `create_model`; it is left as it is.
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
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        normalized_input_size=math.prod(input_shape) / (3 * height * stem_stride * width * stem_stride),
        input_shape=(channels, height, width),
    )
