"""SE-ResNet-50 for frequencies: timm's network without its stem."""

from __future__ import annotations

from torch import nn

from jpegfreq.models.networks.registry import Architecture
from jpegfreq.models.networks.resnet import take_frequencies

__all__ = ["se_resnet"]


def se_resnet(architecture: Architecture, *, channels: int | None, num_classes: int, stride: str) -> nn.Module:
    """Build timm's SE-ResNet under timm's parameter names; with `channels`, without its stem, as for `resnet`.

    torchvision has no SE-ResNet, and no published weights would fit one assembled from its parts, so this needs timm.

    Args:
        architecture: the entry of the SE-ResNet.
        channels: C; None for the RGB network as it is.
        num_classes: how many numbers the last layer gives.
        stride: "paper" or "full", as for `resnet`.

    Raises:
        ImportError: timm is not installed.
    """
    try:
        import timm
    except ImportError as error:
        raise ImportError(f"{architecture.name} is timm's {architecture.upstream}: pip install timm") from error
    network: nn.Module = timm.create_model(architecture.upstream, num_classes=num_classes)
    if channels is not None:
        take_frequencies(network, architecture, channels, stride)
    return network
