"""Vision transformers for frequencies: torchvision's networks, whose patch embedding takes blocks instead of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torchvision import models

from jpegfreq.models.networks.adapt import Adaptation, draw_embedding, note_adaptation
from jpegfreq.models.networks.registry import Architecture

if TYPE_CHECKING:
    from jpegfreq.format import TensorFormat

__all__ = ["SeparateEmbedding", "vit", "vit_separate"]

# Heads and width of the smaller transformers of Touvron et al. (2021), which torchvision does not name.
_SMALLER = {"vit_ti_16": (3, 192), "vit_s_16": (6, 384)}


def vit(
    architecture: Architecture, *, format: TensorFormat | None, num_classes: int, stride: str, size: tuple[int, int]
) -> nn.Module:
    """Build one of torchvision's vision transformers; for frequencies, its patch embedding takes whole blocks.

    ViT-Ti and ViT-S are its class too, in sizes for which it offers no weights.

    A patch of 16 x 16 pixels is 2 x 2 blocks, so the embedding becomes a convolution of 2 x 2 with stride 2 over all
    channels, with as many multiply-adds per channel as before; a patch of 32 x 32 is 4 x 4 blocks. The number of
    patches, and so the cost, is that of RGB images of the same size. Park and Johnson (CVPR 2023) call this the grouped
    embedding. The weights of the embedding are drawn as torchvision draws them, for channels that are normalized.

    Billion multiply-adds with 1000 classes at 224 px:

        network             C = 24    C = 64    C = 192    RGB
        ViT-Ti/16             1.23      1.23       1.25    1.25
        ViT-S/16              4.55      4.56       4.60    4.60
        ViT-B/16             17.46     17.49      17.56   17.56
        ViT-B/16 separate    17.46     17.47      17.50   17.56
        ViT-B/32              4.31      4.33       4.41    4.41
        ViT-L/16             61.42     61.45      61.56   61.56

    Args:
        architecture: the entry of the vision transformer.
        format: the format of its input, with C channels; None for the RGB network as it is.
        num_classes: how many numbers the last layer gives.
        stride: "paper".
        size: (height, width) of the images in pixels, equal and a multiple of the patch.

    Raises:
        ValueError: the size is another.
    """
    patch = int(architecture.upstream.rpartition("_")[2])
    if size[0] != size[1] or size[0] % patch:
        raise ValueError(
            f"{architecture.name} takes square images whose side is a multiple of {patch} pixels, not height {size[0]} "
            f"x width {size[1]}"
        )
    if architecture.upstream in _SMALLER:
        heads, width = _SMALLER[architecture.upstream]
        network = models.VisionTransformer(size[0], patch, 12, heads, width, 4 * width, num_classes=num_classes)
    else:
        network = models.get_model(architecture.upstream, weights=None, num_classes=num_classes, image_size=size[0])
    if format is not None:
        embedding = network.conv_proj
        assert isinstance(embedding, nn.Conv2d)
        blocks = patch // 8
        network.conv_proj = nn.Conv2d(len(format.selection), embedding.out_channels, blocks, stride=blocks)
        draw_embedding(network.conv_proj)  # [N, C, H, W] -> [N, width, H / blocks, W / blocks]
        network.image_size, network.patch_size = size[0] // 8, blocks  # it compares them with its input: now in blocks
        note_adaptation(network, Adaptation(architecture, stem_stride=8, input_layers=("conv_proj",)))
    assert isinstance(network, nn.Module)
    return network


def vit_separate(
    architecture: Architecture, *, format: TensorFormat | None, num_classes: int, stride: str, size: tuple[int, int]
) -> nn.Module:
    """Build a vision transformer as `vit` does, with a SeparateEmbedding.

    Raises:
        ValueError: the size is none of its own, or the format has no luma or no chroma.
    """
    network = vit(architecture, format=format, num_classes=num_classes, stride=stride, size=size)
    if format is not None:
        channels = format.selection.channels
        luma = tuple(place for place, channel in enumerate(channels) if channel < 64)
        chroma = tuple(place for place, channel in enumerate(channels) if channel >= 64)
        if not luma or not chroma:
            raise ValueError(f"{architecture.name} needs channels of luma and of chroma; the format has one kind only")
        embedding = network.conv_proj
        assert isinstance(embedding, nn.Conv2d)
        network.conv_proj = SeparateEmbedding(luma, chroma, embedding.out_channels, embedding.kernel_size[0])
    return network


class SeparateEmbedding(nn.Module):
    """Embed the blocks of luma and those of chroma apart: the first three quarters of the width, and the last quarter.

    Park and Johnson (CVPR 2023) embed luma and chroma separately; the shares are ours. It has fewer weights than an
    embedding of all channels together.
    """

    def __init__(self, luma: tuple[int, ...], chroma: tuple[int, ...], width: int, blocks: int) -> None:
        """Make the embedding.

        Args:
            luma: the places of the luma channels in the input.
            chroma: the places of the chroma channels.
            width: the numbers that it gives per patch.
            blocks: a patch is blocks x blocks.
        """
        super().__init__()
        self.places = (luma, chroma)
        narrow = width // 4
        self.luma = nn.Conv2d(len(luma), width - narrow, blocks, stride=blocks)
        self.chroma = nn.Conv2d(len(chroma), narrow, blocks, stride=blocks)
        draw_embedding(self.luma)
        draw_embedding(self.chroma)

    def forward(self, x: Tensor) -> Tensor:
        """Turn [N, C, H, W] into [N, width, H / blocks, W / blocks]."""
        luma, chroma = (x[:, list(places)] for places in self.places)
        return torch.cat([self.luma(luma), self.chroma(chroma)], 1)
