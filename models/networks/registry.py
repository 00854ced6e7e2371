"""Every architecture, with all that the library knows about it. This module does not import PyTorch.

To add an architecture, write `models/networks/<name>.py` with a function that is a `Builder`, and add one entry here.
`create_model`, checkpoints, pretrained weights, rankings and the help texts read the entry.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, cast

if TYPE_CHECKING:
    from torch import nn

    from jpegfreq.format import TensorFormat

__all__ = [
    "ARCHITECTURES",
    "FORMS",
    "STRIDES",
    "Architecture",
    "Builder",
    "Form",
    "architectures",
    "architectures_help",
]

# "paper" keeps every stride after the stem. "full" doubles the grid of every stage after the first, as the paper's
# released code does: the first stride-2 stage gets stride 1. ConvNeXt and Swin get four cells per block instead.
STRIDES = ("paper", "full")

Form = Literal["no stem", "patches", "pixels"]

# Note [Forms]
# How a network takes frequencies, in the words of the help text.
FORMS: dict[Form, str] = {
    "no stem": "the first stage takes the channels, a cell per block; the stem is dropped",
    "patches": "the patch embedding takes whole blocks, as many as a patch has",
    "pixels": "a fixed layer turns the channels back into pixels, for a stem that needs a finer grid than the blocks'",
}


@dataclass(frozen=True)
class Architecture:
    """What the library knows about an architecture.

    Attributes:
        name: as `create_model` and --architecture take it.
        builder: "module.function" below jpegfreq.models.networks; imported when the first network is built.
        package: whose network it adapts: "torchvision" or "timm".
        upstream: that package's name for it.
        stem: the names of the RGB network's layers that the frequency network drops.
        last_layer: the name of the layer, or group of layers, that gives one number per class.
        form: how it takes frequencies: Note [Forms].
        size: the side in pixels of the images whose frequencies cost it about what RGB at 224 pixels costs.
        strides: those of STRIDES that it has.
        sized: the names of the tensors whose shape follows the size of the images.
    """

    name: str
    builder: str
    package: str
    upstream: str
    stem: tuple[str, ...]
    last_layer: str
    form: Form = "no stem"
    size: int = 448
    strides: tuple[str, ...] = STRIDES
    sized: tuple[str, ...] = ()

    def build(self, *, format: TensorFormat | None, num_classes: int, stride: str, size: tuple[int, int]) -> nn.Module:
        """Build the network with new weights, as `Builder` describes."""
        module, _, function = self.builder.rpartition(".")
        builder = getattr(importlib.import_module(f"jpegfreq.models.networks.{module}"), function)
        return cast(Builder, builder)(self, format=format, num_classes=num_classes, stride=stride, size=size)


class Builder(Protocol):
    """A function that builds the network of an entry."""

    def __call__(
        self,
        architecture: Architecture,
        *,
        format: TensorFormat | None,
        num_classes: int,
        stride: str,
        size: tuple[int, int],
    ) -> nn.Module:
        """Build a network with new weights.

        Args:
            architecture: its entry.
            format: the format of its input; None for the RGB network as its package builds it.
            num_classes: how many numbers the last layer gives.
            stride: one of the entry's strides.
            size: (height, width) of the images in pixels; most networks take any.
        """


def _resnet(name: str) -> Architecture:
    return Architecture(name, "resnet.resnet", "torchvision", name, ("conv1", "bn1", "relu", "maxpool"), "fc")


def _regnet(name: str) -> Architecture:
    return Architecture(name, "regnet.regnet", "torchvision", name, ("stem",), "fc")


def _patches_of_4(name: str, builder: str, last_layer: str) -> Architecture:
    return Architecture(name, builder, "torchvision", name, (), last_layer)


def _vit(name: str, *, separate: bool = False) -> Architecture:
    return Architecture(
        f"{name}_separate" if separate else name, f"vit.vit{'_separate' if separate else ''}", "torchvision", name, (),
        "heads", "patches", 224, ("paper",), ("encoder.pos_embedding",),
    )  # fmt: skip


def _on_pixels(name: str, last_layer: str) -> Architecture:
    return Architecture(name, "pixels.on_pixels", "torchvision", name, (), last_layer, "pixels", 224, ("paper",))


_REGNETS = ("x_400mf", "x_800mf", "x_1_6gf", "x_3_2gf", "x_8gf", "x_16gf", "x_32gf",
            "y_400mf", "y_800mf", "y_1_6gf", "y_3_2gf", "y_8gf", "y_16gf", "y_32gf")  # fmt: skip
_VITS = ("ti_16", "s_16", "b_16", "b_32", "l_16", "l_32")
_EFFICIENTNETS = ("b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "v2_s", "v2_m", "v2_l")

ARCHITECTURES = {
    entry.name: entry
    for entry in (
        *(_resnet(f"resnet{depth}") for depth in (18, 34, 50, 101)),
        Architecture(
            "se_resnet50", "se_resnet.se_resnet", "timm", "seresnet50", ("conv1", "bn1", "act1", "maxpool"), "fc"
        ),
        Architecture(
            "mobilenet_v2", "mobilenet.mobilenet_v2", "torchvision", "mobilenet_v2", ("features.0",), "classifier"
        ),
        *(_regnet(f"regnet_{size}") for size in _REGNETS),
        *(
            _patches_of_4(f"convnext_{size}", "convnext.convnext", "classifier.2")
            for size in ("tiny", "small", "base", "large")
        ),
        *(_patches_of_4(f"swin_{size}", "swin.swin", "head") for size in ("t", "s", "b", "v2_t", "v2_s", "v2_b")),
        *(_vit(f"vit_{size}") for size in _VITS),
        *(_vit(f"vit_{size}", separate=True) for size in _VITS),
        *(_on_pixels(f"efficientnet_{size}", "classifier") for size in _EFFICIENTNETS),
        *(_on_pixels(f"mobilenet_v3_{size}", "classifier.3") for size in ("small", "large")),
    )
}


def architectures() -> tuple[str, ...]:
    """Return the names that `create_model` accepts."""
    return tuple(ARCHITECTURES)


def architectures_help() -> str:
    """Return the names by form, as a help text of several lines."""
    return "; ".join(
        f"{', '.join(name for name, entry in ARCHITECTURES.items() if entry.form == form)} ({what})"
        for form, what in FORMS.items()
    )
