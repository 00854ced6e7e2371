"""MobileNetV2 for frequencies: torchvision's, without the stem."""

from __future__ import annotations

from torch import nn
from torchvision import models

from jpegfreq.models.networks.adapt import Adaptation, keep_grid, note_adaptation, remove, widen

__all__ = ["mobilenet_v2"]


def mobilenet_v2(name: str, *, channels: int | None, num_classes: int, stride: str) -> nn.Module:
    """Torchvision's MobileNetV2; with `channels`, without its stem.

    The stem (features.0) goes by two pixels, so RGB at 224 px reaches the first block as [N, 32, 112, 112]. The paper
    gives it a 112 x 112 grid, hence an image of 896 px. That is "paper". A 28 x 28 grid, 224 px, would leave 2 x 2
    cells at the end; RGB at 112 px ends in 4 x 4, and so does "dense": the first stage that went by two cells goes
    by one, so that a 28 x 28 grid does the work of RGB at 112 px, and 56 x 56 that of RGB at 224 px.

    MMAC, 1000 classes:

        stride    grid          C = 24    C = 64    C = 192    RGB
        "paper"   112 x 112        287       300        340    301 (224 px)
        "dense"   56 x 56          267       270        281    301 (224 px)
        "dense"   28 x 28           74        75         77     82 (112 px)

    Args:
        name: "mobilenet_v2".
        channels: C; None for the RGB network as it is.
        num_classes: width of the last layer.
        stride: "paper" or "dense".
    """
    network = models.get_model(name, weights=None, num_classes=num_classes)
    if channels is not None:
        remove(network.features, ["0"])  # [N, C, H, W] goes to features.1 as it is
        depthwise, project = network.features[1].conv[0], network.features[1].conv[1]
        depthwise[0] = widen(depthwise[0], channels)  # [N, C, H, W] -> [N, C, H, W]
        depthwise[1] = nn.BatchNorm2d(channels)
        network.features[1].conv[1] = widen(project, channels)  # [N, C, H, W] -> [N, 16, H, W]
        if stride == "dense":
            keep_grid(network.features[2])  # [N, 24, H, W] in place of [N, 24, H / 2, W / 2]
        input_layers = ("features.1.conv.0", "features.1.conv.1")
        note_adaptation(network, Adaptation(4 if stride == "dense" else 2, input_layers, ("features.0",)))
    assert isinstance(network, nn.Module)
    return network
