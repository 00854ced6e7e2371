"""SE-ResNet-50 for frequencies: timm's network without its stem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from jpegfreq.models.networks.registry import Architecture

if TYPE_CHECKING:
    from jpegfreq.format import TensorFormat
from jpegfreq.models.networks.resnet import take_frequencies

__all__ = ["se_resnet"]


def se_resnet(
    architecture: Architecture, *, format: TensorFormat | None, num_classes: int, stride: str, size: tuple[int, int]
) -> nn.Module:
    """Build timm's SE-ResNet under timm's parameter names; for frequencies without its stem, as for `resnet`.

    torchvision has no SE-ResNet, and no published weights would fit one assembled from its parts, so this needs timm.

    Args:
        architecture: the entry of the SE-ResNet.
        format: the format of its input, with C channels; None for the RGB network as it is.
        num_classes: how many numbers the last layer gives.
        stride: "paper" or "full", as for `resnet`.
        size: not used, since the network takes any.

    Raises:
        ImportError: timm is not installed.
    """
    try:
        import timm
    except ImportError as error:
        raise ImportError(f"{architecture.name} is timm's {architecture.upstream}: pip install timm") from error
    network: nn.Module = timm.create_model(architecture.upstream, num_classes=num_classes)
    if format is not None:
        take_frequencies(network, architecture, len(format.selection), stride)
    return network
