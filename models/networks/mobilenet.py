"""MobileNetV2 for frequencies: torchvision's network without its stem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torchvision import models

from jpegfreq.models.networks.adapt import Adaptation, note_adaptation, remove, unstride, widen
from jpegfreq.models.networks.registry import Architecture

if TYPE_CHECKING:
    from jpegfreq.format import TensorFormat

__all__ = ["mobilenet_v2"]


def mobilenet_v2(
    architecture: Architecture, *, format: TensorFormat | None, num_classes: int, stride: str, size: tuple[int, int]
) -> nn.Module:
    """Build torchvision's MobileNetV2; for frequencies without its stem.

    The stem (features.0) has stride 2, so RGB at 224 px reaches the first block as [N, 32, 112, 112]. The paper gives
    the network a grid of 112 x 112, hence an image of 896 px: that is "paper". On a 28 x 28 grid (224 px) only 2 x 2
    cells would be left at the end. RGB at 112 px ends in 4 x 4 cells, and so does "full": the first stride-2 stage
    becomes stride 1, so that a 28 x 28 grid costs what RGB at 112 px does, and 56 x 56 what RGB at 224 px does.

    Million multiply-adds with 1000 classes:

        stride    grid          C = 24    C = 64    C = 192    RGB
        "paper"   112 x 112        287       300        340    301 (224 px)
        "full"    56 x 56          267       270        281    301 (224 px)
        "full"    28 x 28           74        75         77     82 (112 px)

    Args:
        architecture: the entry of "mobilenet_v2".
        format: the format of its input, with C channels; None for the RGB network as it is.
        num_classes: how many numbers the last layer gives.
        stride: "paper" or "full".
        size: not used, since the network takes any.
    """
    network = models.get_model(architecture.upstream, weights=None, num_classes=num_classes)
    if format is not None:
        channels = len(format.selection)
        remove(network, architecture.stem)  # [N, C, H, W] reaches features.1 unchanged
        depthwise, project = network.features[1].conv[0], network.features[1].conv[1]
        depthwise[0] = widen(depthwise[0], channels)  # [N, C, H, W] -> [N, C, H, W]
        depthwise[1] = nn.BatchNorm2d(channels)
        network.features[1].conv[1] = widen(project, channels)  # [N, C, H, W] -> [N, 16, H, W]
        if stride == "full":
            unstride(network.features[2])  # [N, 24, H, W] instead of [N, 24, H / 2, W / 2]
        input_layers = ("features.1.conv.0", "features.1.conv.1")
        note_adaptation(network, Adaptation(architecture, 4 if stride == "full" else 2, input_layers))
    assert isinstance(network, nn.Module)
    return network
