"""Build a network from its architecture's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from jpegfreq.models.networks.adapt import Adaptation, adaptation_of, note_adaptation
from jpegfreq.models.networks.registry import ARCHITECTURES, STRIDES, architectures

if TYPE_CHECKING:
    from jpegfreq.format import TensorFormat

__all__ = ["architectures", "create_model"]


def create_model(
    architecture: str,
    *,
    format: TensorFormat | None,
    num_classes: int,
    stride: str = "paper",
    gated: bool = False,
) -> nn.Module:
    """Build a network with new weights, for frequency tensors or for RGB.

    Args:
        architecture: one of `architectures()`.
        format: the format of its input. The network takes [N, C, H / 8, W / 8] for images of H x W pixels (height x
            width), where C is the number of the format's channels. None builds the RGB network, which takes
            [N, 3, H, W].
        num_classes: how many numbers the last layer gives.
        stride: "paper" keeps the strides after the stem; "full" turns the first stride-2 stage into stride 1. `resnet`
            and `mobilenet_v2` list the grids and costs. An RGB network has "paper" only.
        gated: put a ChannelGate in front of it, which makes it a GatedNetwork.

    Raises:
        ValueError: the name is unknown, or an RGB network is asked for another stride or a gate.
        ImportError: the architecture comes from a package that is not installed.

    >>> network = create_model("resnet50", format=TensorFormat(24), num_classes=1000)
    >>> network(torch.zeros(1, 24, 56, 56)).shape
    torch.Size([1, 1000])
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"there is no architecture {architecture!r}; choose one of {', '.join(ARCHITECTURES)}")
    if stride not in STRIDES:
        raise ValueError(f"stride must be one of {', '.join(STRIDES)}, not {stride!r}")
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, not {num_classes}")
    if format is None and (gated or stride != "paper"):
        raise ValueError(f"an RGB network has no {'gate' if gated else f'stride {stride!r}'}: give it a format")
    entry = ARCHITECTURES[architecture]
    channels = None if format is None else len(format.selection)
    network = entry.build(channels=channels, num_classes=num_classes, stride=stride)
    if adaptation_of(network).architecture is None:
        note_adaptation(network, Adaptation(entry))
    if gated:
        from jpegfreq.models.gate import ChannelGate, GatedNetwork

        assert channels is not None
        network = GatedNetwork(ChannelGate(channels), network)
    return network
