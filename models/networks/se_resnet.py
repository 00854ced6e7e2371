"""SE-ResNet-50 for frequencies: timm's, without the stem."""

from __future__ import annotations

from torch import nn

from jpegfreq.models.networks.resnet import take_frequencies

__all__ = ["se_resnet"]

_TIMM_NAMES = {"se_resnet50": "seresnet50"}


def se_resnet(name: str, *, channels: int | None, num_classes: int, stride: str) -> nn.Module:
    """Timm's SE-ResNet, with timm's parameter names; with `channels`, without its stem, as for `resnet`.

    torchvision has no SE-ResNet, and one put together from its parts would load nobody's weights: so timm is needed.

    Args:
        name: "se_resnet50".
        channels: C; None for the RGB network as it is.
        num_classes: width of the last layer.
        stride: "paper" or "dense", as for `resnet`, which also says what they cost.

    Raises:
        ImportError: timm is not installed.
    """
    try:
        import timm
    except ImportError as error:
        raise ImportError(f"{name} is built on timm's {_TIMM_NAMES[name]}: pip install timm") from error
    network: nn.Module = timm.create_model(_TIMM_NAMES[name], num_classes=num_classes)
    if channels is not None:
        take_frequencies(network, channels, stride, stem=("conv1", "bn1", "act1", "maxpool"))
    return network
