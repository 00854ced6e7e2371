"""How an RGB network becomes one for frequencies: drop its stem, widen its input layers, and keep a record of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from jpegfreq.models.networks.registry import Architecture

__all__ = [
    "Adaptation",
    "adaptation_of",
    "draw_embedding",
    "embed_blocks",
    "note_adaptation",
    "remove",
    "unstride",
    "widen",
]


@dataclass(frozen=True)
class Adaptation:
    """How a frequency network differs from its RGB network.

    Attributes:
        architecture: the network's entry in the registry; None for a network from elsewhere.
        stem_stride: the stride of the dropped layers together: one cell of the frequency grid stands for
            stem_stride x stem_stride pixels of the RGB image.
        input_layers: the names of the layers that see the frequency channels. No RGB weights fit them.
    """

    architecture: Architecture | None = None
    stem_stride: int = 1
    input_layers: tuple[str, ...] = ()


def note_adaptation(network: nn.Module, adaptation: Adaptation) -> None:
    """Attach the record to the network."""
    object.__setattr__(network, "adaptation", adaptation)  # neither a tensor nor a module: nn.Module need not track it


def adaptation_of(network: nn.Module) -> Adaptation:
    """Return the record of a network, gated or not; that of a plain RGB network where it has none."""
    inner = getattr(network, "network", network)
    found = getattr(inner, "adaptation", None)
    return found if isinstance(found, Adaptation) else Adaptation()


def remove(network: nn.Module, names: Iterable[str]) -> None:
    """Replace layers, named as in `get_submodule`, by nn.Identity."""
    for name in names:
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, nn.Identity())


def widen(convolution: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """Return the same convolution for another number of input channels, with new weights drawn as ResNet draws them."""
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


def embed_blocks(convolution: nn.Conv2d, in_channels: int, *, cells: int) -> nn.Module:
    """Return what makes cells of blocks instead of patches of pixels, with new weights.

    Args:
        convolution: what makes cells of patches of pixels.
        in_channels: the number of frequency channels.
        cells: each block becomes cells x cells.
    """
    embedding = nn.Conv2d(in_channels, cells * cells * convolution.out_channels, 1)
    draw_embedding(embedding)
    return embedding if cells == 1 else nn.Sequential(embedding, nn.PixelShuffle(cells))


def draw_embedding(convolution: nn.Conv2d) -> None:
    """Draw the weights of a patch embedding as vision transformers do: it keeps the variance of its input."""
    nn.init.trunc_normal_(convolution.weight, std=math.sqrt(1 / convolution.weight[0].numel()))
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)


def unstride(block: nn.Module) -> None:
    """Set the stride of every convolution in a block to 1."""
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
