"""Which device a network runs on."""

from __future__ import annotations

import os

import torch
from torch import nn

__all__ = ["best_device"]


def best_device(name: str = "auto", *, bfloat16: bool = False) -> torch.device:
    """Find a device and try it out.

    Args:
        name: "auto" for the best device of this machine: CUDA, else Apple's MPS, else the CPU. Any other name is
            PyTorch's, such as "cpu" or "cuda:1". Each process that torchrun starts gets a GPU of its own.
        bfloat16: whether the device must also run in bfloat16.

    Raises:
        ValueError: the device does not exist, or it cannot run a convolution.
    """
    found = _best() if name == "auto" else name
    if found == "cuda" and "LOCAL_RANK" in os.environ and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        device = torch.device(found)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            one = torch.ones(1, 1, 1, 1, device=device)
            nn.functional.conv2d(one, one).cpu()
    except (RuntimeError, AssertionError) as error:
        wanted = " with bfloat16" if bfloat16 else ""
        raise ValueError(f"device {name!r}{wanted} cannot be used: {str(error).splitlines()[0]}") from error
    return device


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
