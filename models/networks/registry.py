"""Every architecture, with all that the library knows about it. This module does not import PyTorch.

To add an architecture, write `models/networks/<name>.py` with a function that is a `Builder`, and add one entry here.
`create_model`, checkpoints, pretrained weights, rankings and the help texts read the entry.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ARCHITECTURES", "STRIDES", "Architecture", "Builder", "architectures"]

# "paper" keeps every stride after the stem. "full" turns the first stride-2 stage into stride 1, so that it works on
# the full grid: the form in which the paper's code was released.
STRIDES = ("paper", "full")


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
    """

    name: str
    builder: str
    package: str
    upstream: str
    stem: tuple[str, ...]
    last_layer: str

    def build(self, *, channels: int | None, num_classes: int, stride: str) -> nn.Module:
        """Build the network with new weights, as `Builder` describes."""
        module, _, function = self.builder.rpartition(".")
        builder = getattr(importlib.import_module(f"jpegfreq.models.networks.{module}"), function)
        return cast(Builder, builder)(self, channels=channels, num_classes=num_classes, stride=stride)


class Builder(Protocol):
    """A function that builds the network of an entry."""

    def __call__(self, architecture: Architecture, *, channels: int | None, num_classes: int, stride: str) -> nn.Module:
        """Build a network with new weights.

        Args:
            architecture: its entry.
            channels: how many frequency channels it takes; None for the RGB network as its package builds it.
            num_classes: how many numbers the last layer gives.
            stride: one of STRIDES.
        """


def _resnet(name: str) -> Architecture:
    return Architecture(name, "resnet.resnet", "torchvision", name, ("conv1", "bn1", "relu", "maxpool"), "fc")


ARCHITECTURES = {
    entry.name: entry
    for entry in (
        _resnet("resnet18"),
        _resnet("resnet34"),
        _resnet("resnet50"),
        _resnet("resnet101"),
        Architecture(
            "se_resnet50", "se_resnet.se_resnet", "timm", "seresnet50", ("conv1", "bn1", "act1", "maxpool"), "fc"
        ),
        Architecture(
            "mobilenet_v2", "mobilenet.mobilenet_v2", "torchvision", "mobilenet_v2", ("features.0",), "classifier"
        ),
    )
}


def architectures() -> tuple[str, ...]:
    """Return the names that `create_model` accepts."""
    return tuple(ARCHITECTURES)
