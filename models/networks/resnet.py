"""ResNet-18, 34, 50 and 101 for frequencies: torchvision's networks without their stem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torchvision import models

from jpegfreq.models.networks.adapt import Adaptation, note_adaptation, remove, unstride, widen
from jpegfreq.models.networks.registry import Architecture

if TYPE_CHECKING:
    from jpegfreq.format import TensorFormat

__all__ = ["resnet", "take_frequencies"]


def resnet(
    architecture: Architecture, *, format: TensorFormat | None, num_classes: int, stride: str, size: tuple[int, int]
) -> nn.Module:
    """Build one of torchvision's ResNets; for frequencies without its stem.

    RGB at 224 px reaches the first stage as [N, 64, 56, 56], and so do the frequencies of 448 px: [N, C, 56, 56]. At
    half that size, RGB at 112 px and the frequencies of 224 px meet at 28 x 28.

    Billion multiply-adds of the frequency networks on a 56 x 56 grid with 1000 classes, and of RGB at 224 px:

        stride    network       C = 24    C = 64    C = 192    RGB
        "paper"   ResNet-18       1.63      1.70       1.97    1.81
        "full"    ResNet-18       5.33      5.40       5.67    1.81
        "paper"   ResNet-50       3.93      3.97       4.10    4.09
        "full"    ResNet-50      13.5      13.6       13.7     4.09

    The first shortcut follows ResNet's own rule: a projection where the widths differ, else the identity. So ResNet-18
    and 34 have a projection (1 x 1 convolution and norm) for every C except 64. With exactly 64 channels the identity
    stays, as in the RGB network: that saves 13 million multiply-adds and 4224 weights, and adds channel k of the input
    directly to feature k. Remember this when you compare 64 channels with 48 or 192. ResNet-50 and 101 always have the
    projection.

    Args:
        architecture: the entry of the ResNet.
        format: the format of its input, with C channels; None for the RGB network as it is.
        num_classes: how many numbers the last layer gives.
        stride: "paper" gives the four stages strides 1, 2, 2, 2, as in the RGB network. "full" gives them 1, 1, 2, 2,
            as the paper's released code does for its ResNet-50, at 3.4 times the cost.
        size: not used, since the network takes any.
    """
    network: nn.Module = models.get_model(architecture.upstream, weights=None, num_classes=num_classes)
    if format is not None:
        take_frequencies(network, architecture, len(format.selection), stride)
    return network


def take_frequencies(network: nn.Module, architecture: Architecture, channels: int, stride: str) -> None:
    """Turn a ResNet (torchvision's or timm's) into one for frequencies, in place."""
    remove(network, architecture.stem)  # [N, C, H, W] reaches layer1 unchanged
    block = network.get_submodule("layer1.0")
    first = block.get_submodule("conv1")
    assert isinstance(first, nn.Conv2d)
    width = first.in_channels
    block.conv1 = widen(first, channels)  # [N, C, H, W] -> [N, 64, H, W]
    input_layers = ["layer1.0.conv1"]
    if getattr(block, "downsample", None) is not None:  # ResNet-50: the shortcut already has a convolution
        shortcut = block.get_submodule("downsample.0")
        assert isinstance(shortcut, nn.Conv2d)
        block.downsample = nn.Sequential(widen(shortcut, channels), block.get_submodule("downsample.1"))
        input_layers.append("layer1.0.downsample.0")  # [N, C, H, W] -> [N, 256, H, W]
    elif channels != width:  # ResNet-18: the shortcut is the identity, and remains so for 64 channels
        narrow = nn.Conv2d(width, width, kernel_size=1, bias=False)
        block.downsample = nn.Sequential(widen(narrow, channels), nn.BatchNorm2d(width))
        input_layers.append("layer1.0.downsample")  # [N, C, H, W] -> [N, 64, H, W]
    if stride == "full":
        unstride(network.get_submodule("layer2.0"))  # [N, 128, H, W] instead of [N, 128, H / 2, W / 2]
    note_adaptation(network, Adaptation(architecture, stem_stride=4, input_layers=tuple(input_layers)))
