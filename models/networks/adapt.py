"""How a network for RGB becomes one for frequencies: its stem goes, its first stage takes C channels.

The stem's modules become nn.Identity, so that the network's own forward, parameter names and tools go on working.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

__all__ = ["STRIDES", "Adaptation", "adaptation_of", "keep_grid", "note_adaptation", "remove", "widen"]

STRIDES = ("paper", "dense")


@dataclass(frozen=True)
class Adaptation:
    """What was done to an RGB network, for those who count its input or load its weights.

    Attributes:
        stem_stride: by how much the layers that are gone reduced the RGB image: a cell of the frequency grid stands for
            stem_stride x stem_stride of its pixels.
        input_layers: names of the layers that see the frequencies, and can take nothing over from an RGB network.
        stem: names of the layers that are gone.
    """

    stem_stride: int
    input_layers: tuple[str, ...]
    stem: tuple[str, ...]


def note_adaptation(network: nn.Module, adaptation: Adaptation) -> None:
    """Keep it with the network."""
    object.__setattr__(network, "adaptation", adaptation)  # no tensor, no module: past nn.Module's bookkeeping


def adaptation_of(network: nn.Module) -> Adaptation:
    """What was done to a network, gated or not; an RGB network counts as one with no stem removed."""
    inner = getattr(network, "network", network)
    found = getattr(inner, "adaptation", None)
    return found if isinstance(found, Adaptation) else Adaptation(stem_stride=1, input_layers=(), stem=())


def remove(network: nn.Module, names: Iterable[str]) -> None:
    """Put nn.Identity in the place of direct children."""
    for name in names:
        setattr(network, name, nn.Identity())


def widen(convolution: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """The same convolution over so many input channels, with new weights, drawn as ResNet draws its."""
    depthwise = convolution.groups > 1
    wide = nn.Conv2d(
        in_channels,
        in_channels if depthwise else convolution.out_channels,
        kernel_size=(convolution.kernel_size[0], convolution.kernel_size[1]),
        stride=(convolution.stride[0], convolution.stride[1]),
        padding=int(convolution.padding[0]),
        groups=in_channels if depthwise else 1,
        bias=convolution.bias is not None,
    )
    nn.init.kaiming_normal_(wide.weight, mode="fan_out", nonlinearity="relu")
    return wide


def keep_grid(block: nn.Module) -> None:
    """Let every convolution of a block go by one cell where it went by two."""
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
