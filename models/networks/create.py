"""Build a network from its architecture's name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
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
    size: tuple[int, int] = (224, 224),
) -> nn.Module:
    """Build a network with new weights, for frequency tensors or for RGB.

    Networks take frequencies in one of three forms, which `Architecture.form` names:

    - "no stem" (ResNet, SE-ResNet, MobileNetV2, RegNet, ConvNeXt, Swin): the stem is dropped, and the first stage takes
      the channels, a cell per block. Images of 448 x 448 pixels then cost what RGB at 224 costs (MobileNetV2: 896).
    - "patches" (ViT/16, ViT/32): the patch embedding takes whole blocks, 2 x 2 or 4 x 4 of them. The "_separate"
      networks embed luma and chroma apart from each other.
    - "pixels" (EfficientNet, MobileNetV3): these reduce the image by 2 only before the first stage, where the blocks
      are 4 times coarser. So the network stays as it is after a PixelLayer, which undoes the format's statistics and
      normalizes pixels as torchvision does.

    Args:
        architecture: one of `architectures()`.
        format: the format of its input. The network takes [N, C, H / 8, W / 8] for images of H x W pixels (height x
            width), where C is the number of the format's channels. None builds the RGB network, which takes
            [N, 3, H, W].
        num_classes: how many numbers the last layer gives.
        stride: "paper" keeps the strides after the stem; "full" doubles the grid of every stage after the first. The
            builders (`resnet`, `mobilenet_v2` ...) list the grids and costs. RGB networks, and those of the forms
            "patches" and "pixels", have "paper" only.
        gated: put a ChannelGate in front of it, which makes it a GatedNetwork.
        size: (height, width) of the images in pixels. Only a ViT is bound to it, by its position embedding.

    Raises:
        ValueError: the name is unknown, the network does not have that stride or take that size, or an RGB network is
            asked for another stride or a gate.
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
    if stride not in entry.strides:
        raise ValueError(f"{architecture} has no stride {stride!r}: choose {', '.join(entry.strides)}")
    values = None if format is None else replace(format, dtype="float32", steps=None)
    network = entry.build(format=values, num_classes=num_classes, stride=stride, size=size)
    if adaptation_of(network).architecture is None:
        note_adaptation(network, Adaptation(entry))
    if gated:
        from jpegfreq.models.gate import ChannelGate, GatedNetwork

        assert format is not None
        network = GatedNetwork(ChannelGate(len(format.selection)), network)
    if format is not None and format.steps is not None:
        steps = torch.tensor(format.steps)[list(format.selection), None, None]
        network.register_buffer("input_steps", steps, persistent=False)  # of the format, not of the weights
        network.register_forward_pre_hook(_undo_steps)
    return network


def _undo_steps(network: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Multiply int8 tensors [N, C, H, W] by their format's steps, before a gate or a network sees them."""
    steps = network.input_steps
    assert isinstance(steps, torch.Tensor)
    return (inputs[0].to(steps.dtype) * steps, *inputs[1:])
