"""EfficientNet and MobileNetV3 for frequencies: torchvision's networks after a PixelLayer."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from torch import nn
from torchvision import models

from jpegfreq.models.networks.adapt import Adaptation, note_adaptation
from jpegfreq.models.networks.registry import Architecture
from jpegfreq.models.pixel_layer import PixelLayer

if TYPE_CHECKING:
    from jpegfreq.format import TensorFormat

__all__ = ["on_pixels"]

# What torchvision normalizes RGB with.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def on_pixels(
    architecture: Architecture, *, format: TensorFormat | None, num_classes: int, stride: str, size: tuple[int, int]
) -> nn.Module:
    """Build one of torchvision's EfficientNets or MobileNetV3s; for frequencies with a PixelLayer before its stem.

    These networks reduce the image by 2 before the first stage and by 32 in all, so without the stem the blocks of
    224 px would end in a single cell. The PixelLayer undoes the format's statistics, and gives pixels that are
    normalized as torchvision normalizes RGB: the network sees what the RGB network sees, less the channels that the
    format lacks, and costs 0.011 GMAC more at 224 px. The layer is fixed, and every weight of the RGB network loads.

    Billion multiply-adds with 1000 classes at 224 px:

        network               C = 24    C = 64    C = 192    RGB
        EfficientNet-B0        0.387     0.389      0.396    0.386
        EfficientNetV2-S       2.852     2.854      2.860    2.850
        MobileNetV3-Small      0.058     0.060      0.067    0.057
        MobileNetV3-Large      0.218     0.220      0.227    0.217

    Args:
        architecture: the entry of the network.
        format: the format of its input, with C channels; None for the RGB network as it is.
        num_classes: how many numbers the last layer gives.
        stride: "paper".
        size: not used, since the network takes any.
    """
    network: nn.Module = models.get_model(architecture.upstream, weights=None, num_classes=num_classes)
    if format is not None:
        layer = PixelLayer(format, None, mean=_MEAN, std=_STD).to(next(network.parameters()))
        stages = network.features
        assert isinstance(stages, nn.Sequential)
        # [N, C, H, W] -> [N, 3, 8 H, 8 W]; the stages keep their names
        network.features = nn.Sequential(OrderedDict(pixels=layer, **dict(stages.named_children())))
        note_adaptation(network, Adaptation(architecture, stem_stride=8))
    return network
