"""RegNet-X and -Y for frequencies: torchvision's networks without their stem."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torchvision import models

from jpegfreq.models.networks.adapt import Adaptation, note_adaptation, remove, unstride, widen
from jpegfreq.models.networks.registry import Architecture

if TYPE_CHECKING:
    from jpegfreq.format import TensorFormat

__all__ = ["regnet"]


def regnet(
    architecture: Architecture, *, format: TensorFormat | None, num_classes: int, stride: str, size: tuple[int, int]
) -> nn.Module:
    """Build one of torchvision's RegNets; for frequencies without its stem.

    The stem and the first stage have stride 2 each, together as much as a ResNet's stem. So the stem is dropped, and
    the first stage gets stride 1: as in a ResNet, RGB at 224 px and the frequencies of 448 px meet at 56 x 56.

    Billion multiply-adds of the frequency networks with 1000 classes, and of RGB at 224 px:

        stride    grid       network          C = 24    C = 64    C = 192    RGB
        "paper"   56 x 56    RegNet-Y-400MF     0.37      0.39       0.43    0.40
        "paper"   56 x 56    RegNet-Y-3.2GF     3.14      3.16       3.22    3.18
        "full"    28 x 28    RegNet-Y-400MF     0.34      0.35       0.36    0.40
        "full"    28 x 28    RegNet-Y-3.2GF     2.99      2.99       3.01    3.18

    Args:
        architecture: the entry of the RegNet.
        format: the format of its input, with C channels; None for the RGB network as it is.
        num_classes: how many numbers the last layer gives.
        stride: "paper" gives the four stages strides 1, 2, 2, 2; "full" gives them 1, 1, 2, 2.
        size: not used, since the network takes any.
    """
    device = torch.empty(0).device  # the default: torchvision computes the widths with tensors, which "meta" cannot
    with torch.device("cpu"):
        network: nn.Module = models.get_model(architecture.upstream, weights=None, num_classes=num_classes)
    network.to(device)
    if format is not None:
        channels = len(format.selection)
        remove(network, architecture.stem)  # [N, C, H, W] reaches the first stage unchanged
        first = "trunk_output.block1.block1-0"
        input_layers = (f"{first}.proj.0", f"{first}.f.a.0")
        for name in input_layers:  # [N, C, H, W] -> [N, width, H, W]: the shortcut, and the first of three convolutions
            parent, _, child = name.rpartition(".")
            convolution = network.get_submodule(name)
            assert isinstance(convolution, nn.Conv2d)
            setattr(network.get_submodule(parent), child, widen(convolution, channels))
        for stage in ("block1", "block2") if stride == "full" else ("block1",):
            unstride(network.get_submodule(f"trunk_output.{stage}"))
        note_adaptation(network, Adaptation(architecture, stem_stride=4, input_layers=input_layers))
    return network
