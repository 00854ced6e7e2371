"""ConvNeXt for frequencies: torchvision's network, whose first convolution takes blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torchvision import models

from jpegfreq.models.networks.adapt import Adaptation, embed_blocks, note_adaptation
from jpegfreq.models.networks.registry import Architecture

if TYPE_CHECKING:
    from jpegfreq.format import TensorFormat

__all__ = ["convnext"]


def convnext(
    architecture: Architecture, *, format: TensorFormat | None, num_classes: int, stride: str, size: tuple[int, int]
) -> nn.Module:
    """Build one of torchvision's ConvNeXts; for frequencies, its first convolution takes whole blocks.

    RGB at 224 px reaches the first stage on a 56 x 56 grid. So do the frequencies of 448 px in "paper", where a 1 x 1
    convolution makes one cell of each block, and those of 224 px in "full", where it makes 2 x 2 cells.

    Billion multiply-adds of the frequency networks with 1000 classes, "paper" at 448 px or "full" at 224 px, and of RGB
    at 224 px:

        network       C = 24    C = 64    C = 192    RGB
        ConvNeXt-T      4.45      4.46       4.50    4.46
        ConvNeXt-S      8.68      8.69       8.73    8.68
        ConvNeXt-B     15.35     15.36      15.41   15.36

    Args:
        architecture: the entry of the ConvNeXt.
        format: the format of its input, with C channels; None for the RGB network as it is.
        num_classes: how many numbers the last layer gives.
        stride: "paper" for one cell per block; "full" for 2 x 2.
        size: not used, since the network takes any.
    """
    network: nn.Module = models.get_model(architecture.upstream, weights=None, num_classes=num_classes)
    if format is not None:
        stem, full = network.get_submodule("features.0"), stride == "full"
        first = stem.get_submodule("0")
        assert isinstance(first, nn.Conv2d)
        # [N, C, H, W] -> [N, width, H, W], or [N, width, 2 H, 2 W]
        setattr(stem, "0", embed_blocks(first, len(format.selection), cells=2 if full else 1))
        note_adaptation(network, Adaptation(architecture, 8 if full else 4, ("features.0.0",)))
    return network
