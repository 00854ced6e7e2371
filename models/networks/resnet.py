"""ResNet-18, 34, 50 and 101 for frequencies: torchvision's, without the stem."""

from __future__ import annotations

from torch import nn
from torchvision import models

from jpegfreq.models.networks.adapt import Adaptation, keep_grid, note_adaptation, remove, widen

__all__ = ["resnet", "take_frequencies"]


def resnet(name: str, *, channels: int | None, num_classes: int, stride: str) -> nn.Module:
    """Torchvision's ResNet of this name; with `channels`, without its stem.

    RGB at 224 px reaches the first stage as [N, 64, 56, 56], and so do the frequencies of 448 px: [N, C, 56, 56]. At
    half scale, RGB at 112 px and the frequencies of 224 px meet at 28 x 28.

    GMAC of the frequency networks for a 56 x 56 grid and 1000 classes, and of RGB at 224 px:

        stride    network       C = 24    C = 64    C = 192    RGB
        "paper"   ResNet-18       1.63      1.70       1.97    1.81
        "dense"   ResNet-18       5.33      5.40       5.67    1.81
        "paper"   ResNet-50       3.93      3.97       4.10    4.09
        "dense"   ResNet-50      13.5      13.6       13.7     4.09

    The first shortcut follows ResNet's own rule: a projection where the widths differ, else the identity. So ResNet-18
    and 34 have a projection (1 x 1 convolution and norm) for every C but 64. With exactly 64 channels the identity
    stays, as in the RGB network: 13 MMAC and 4224 weights less, and channel k of the input is added to feature k as it
    is. Keep it in mind where 64 channels are compared with 48 or 192. ResNet-50 and 101 always have the projection.

    Args:
        name: "resnet18", "resnet34", "resnet50" or "resnet101".
        channels: C; None for the RGB network as it is.
        num_classes: width of the last layer.
        stride: "paper": the stages go by 1, 2, 2, 2 cells as ever. "dense": 1, 1, 2, 2, as the released code of the
            paper runs its ResNet-50, for 3.4 times the work.
    """
    network: nn.Module = models.get_model(name, weights=None, num_classes=num_classes)
    if channels is not None:
        take_frequencies(network, channels, stride, stem=("conv1", "bn1", "relu", "maxpool"))
    return network


def take_frequencies(network: nn.Module, channels: int, stride: str, *, stem: tuple[str, ...]) -> None:
    """Turn a ResNet (torchvision's or timm's) into one for frequencies, in place."""
    remove(network, stem)  # [N, C, H, W] goes to layer1 as it is
    block = network.get_submodule("layer1.0")
    first = block.get_submodule("conv1")
    assert isinstance(first, nn.Conv2d)
    width = first.in_channels
    block.conv1 = widen(first, channels)  # [N, C, H, W] -> [N, 64, H, W]
    input_layers = ["layer1.0.conv1"]
    if getattr(block, "downsample", None) is not None:  # ResNet-50: the shortcut has a convolution already
        shortcut = block.get_submodule("downsample.0")
        assert isinstance(shortcut, nn.Conv2d)
        block.downsample = nn.Sequential(widen(shortcut, channels), block.get_submodule("downsample.1"))
        input_layers.append("layer1.0.downsample.0")  # [N, C, H, W] -> [N, 256, H, W]
    elif channels != width:  # ResNet-18: the shortcut was the identity, and stays it for 64 channels
        narrow = nn.Conv2d(width, width, kernel_size=1, bias=False)
        block.downsample = nn.Sequential(widen(narrow, channels), nn.BatchNorm2d(width))
        input_layers.append("layer1.0.downsample")  # [N, C, H, W] -> [N, 64, H, W]
    if stride == "dense":
        keep_grid(network.get_submodule("layer2.0"))  # [N, 128, H, W] in place of [N, 128, H / 2, W / 2]
    note_adaptation(network, Adaptation(stem_stride=4, input_layers=tuple(input_layers), stem=stem))
