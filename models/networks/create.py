"""Every architecture by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from torch import nn

from jpegfreq.models.networks.adapt import STRIDES
from jpegfreq.models.networks.mobilenet import mobilenet_v2
from jpegfreq.models.networks.resnet import resnet
from jpegfreq.models.networks.se_resnet import se_resnet

if TYPE_CHECKING:
    from jpegfreq.format import TensorFormat

__all__ = ["architectures", "create_model"]


class Builder(Protocol):
    """Makes a network of a name; `channels` None means RGB."""

    def __call__(self, name: str, *, channels: int | None, num_classes: int, stride: str) -> nn.Module:
        """The network, with new weights."""


_BUILDERS: dict[str, Builder] = {
    "resnet18": resnet,
    "resnet34": resnet,
    "resnet50": resnet,
    "resnet101": resnet,
    "se_resnet50": se_resnet,
    "mobilenet_v2": mobilenet_v2,
}


def architectures() -> tuple[str, ...]:
    """The names that `create_model` knows."""
    return tuple(_BUILDERS)


def create_model(
    architecture: str,
    *,
    format: TensorFormat | None,
    num_classes: int,
    stride: str = "paper",
    gated: bool = False,
) -> nn.Module:
    """A network with new weights, for the tensors of a format or for RGB.

    Args:
        architecture: one of `architectures()`.
        format: what its input is; it takes [N, C, H / 8, W / 8] of an image of H x W pixels, C the format's channels.
            None for the RGB network itself, which takes [N, 3, H, W].
        num_classes: width of the last layer.
        stride: "paper" keeps the strides behind the stem; "dense" lets the first stage that goes by two cells go by
            one. Their grids and costs: `resnet`, `mobilenet_v2`. An RGB network has "paper" alone.
        gated: put a ChannelGate before it: a GatedNetwork.

    Raises:
        ValueError: an unknown name, or a stride or gate for an RGB network.
        ImportError: the architecture comes from a package that is not installed.

    >>> network = create_model("resnet50", format=TensorFormat(24), num_classes=1000)
    >>> network(torch.zeros(1, 24, 56, 56)).shape
    torch.Size([1, 1000])
    """
    if architecture not in _BUILDERS:
        raise ValueError(f"there is no architecture {architecture!r}; there are {', '.join(_BUILDERS)}")
    if stride not in STRIDES:
        raise ValueError(f"stride must be one of {', '.join(STRIDES)}, not {stride!r}")
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, not {num_classes}")
    if format is None and (gated or stride != "paper"):
        raise ValueError(f"an RGB network has no {'gate' if gated else f'stride {stride!r}'}: give it a format")
    channels = None if format is None else len(format.selection)
    network = _BUILDERS[architecture](architecture, channels=channels, num_classes=num_classes, stride=stride)
    if gated:
        from jpegfreq.models.gate import ChannelGate, GatedNetwork

        assert channels is not None
        network = GatedNetwork(ChannelGate(channels), network)
    return network
