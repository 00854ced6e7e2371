"""The first convolution of an RGB network: how to find it, and how to fold the fixed layer into it.

Note [Fixed front end] in pixel_layer.py has the maths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from jpegfreq.channels import CHANNEL_COUNT
from jpegfreq.format import TensorFormat
from jpegfreq.models.pixel_layer import TO_RGB, block_basis, full_precision, undo_statistics

__all__ = ["Form", "Stem", "evaluate", "find_stem", "first_convolution", "fold", "size_taken"]

Form = Literal["layer", "folded patch", "folded stride 4"]

# The attribute in which torchvision's VisionTransformer and timm's PatchEmbed hold the size of the images they take.
_SIZE_NAMES = ("image_size", "img_size")


def size_taken(network: nn.Module) -> tuple[int, int] | None:
    """Return the only (height, width) that a vision transformer takes; None for a network that takes any."""
    for module in network.modules():
        for name in _SIZE_NAMES:
            taken = getattr(module, name, None)
            reads_rgb = any(isinstance(part, nn.Conv2d) and part.in_channels == 3 for part in module.children())
            strict = reads_rgb and hasattr(module, "patch_size") and getattr(module, "strict_img_size", True)
            if strict and _is_size(taken):
                return _pair(taken)
    return None


def first_convolution(network: nn.Module, size: tuple[int, int]) -> str:
    """Return the name of the first convolution that an RGB network runs; "" without one.

    Raises:
        ValueError: the network refuses images of this size.
    """
    stem = find_stem(network, size)
    return "" if stem is None else stem.name


@dataclass(frozen=True)
class Stem:
    """The first convolution that a network runs.

    Attributes:
        name: its name.
        convolution: the convolution.
        given: how many channels it is given for RGB images; 3, or more where pixels are moved to channels first.
        reads_images: whether it alone reads the images just as they are.
    """

    name: str
    convolution: nn.Conv2d
    given: int
    reads_images: bool


class _StemFoundError(Exception):
    """Ends the run of a network at its first convolution."""


def find_stem(network: nn.Module, size: tuple[int, int]) -> Stem | None:
    """Run a network on one image up to its first convolution, and return that; None if it has none.

    Raises:
        ValueError: the network refuses images of this size.
    """
    convolutions = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    if not convolutions:
        return None
    weight = next(iter(convolutions.values())).weight
    images = torch.zeros(1, 3, *size, device=weight.device, dtype=weight.dtype)
    found: list[Stem] = []

    def stop(name: str, convolution: nn.Module, arguments: tuple[Any, ...]) -> None:
        assert isinstance(convolution, nn.Conv2d)
        alone = sum(other.in_channels == 3 for other in convolutions.values()) == 1
        found.append(Stem(name, convolution, arguments[0].shape[-3], alone and arguments[0] is images))
        raise _StemFoundError

    hooks = [module.register_forward_pre_hook(partial(stop, name)) for name, module in convolutions.items()]
    try:
        evaluate(network, images)
    except _StemFoundError:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None


def evaluate(network: nn.Module, images: Tensor) -> Any:
    """Run a network on images in evaluation mode, and leave its layers' modes as they are.

    Raises:
        ValueError: the network refuses images of this size.
    """
    modes = {module: module.training for module in network.modules()}
    try:
        with torch.no_grad():
            return network.eval()(images)
    except _StemFoundError:
        raise
    except Exception as error:
        height, width = images.shape[2:]
        raise ValueError(
            f"the network does not take images of height {height} x width {width} pixels as [N, 3, height, width]: "
            f"{error}"
        ) from error
    finally:
        for module, mode in modes.items():
            module.training = mode


def fold(
    network: nn.Module,
    stem: Stem,
    format: TensorFormat,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    even_if_dearer: bool = False,
) -> Form:
    """Let the first convolution take the frequencies, if it can and that is not dearer; return the form chosen."""
    patch = _patch_of(stem.convolution)
    if patch is None or not stem.reads_images or not stem.name:
        return "layer"
    holder_name, _, own_name = stem.name.rpartition(".")
    holder = network.get_submodule(holder_name)
    size_name = next((name for name in _SIZE_NAMES if _is_size(getattr(holder, name, None))), None)
    taken = None if size_name is None else getattr(holder, size_name)
    if patch == (4, 4):
        # torchvision's VisionTransformer derives its number of patches from the size of its input.
        if size_name == "image_size" or not (even_if_dearer or _folded_is_cheaper(stem.convolution, format)):
            return "layer"
    elif not (_is_size(taken, 8) and _is_size(getattr(holder, "patch_size", None), 8)):
        return "layer"
    setattr(holder, own_name, _folded(stem.convolution, format, mean, std))
    if size_name is not None and hasattr(holder, "patch_size"):
        # The network compares these with the size of its input, which is in blocks now.
        setattr(holder, size_name, _eighth(taken))
        holder.patch_size = _eighth(holder.patch_size)
    return "folded stride 4" if patch == (4, 4) else "folded patch"


def _folded_is_cheaper(convolution: nn.Conv2d, format: TensorFormat) -> bool:
    """Whether folding a stem of patch 4 saves multiply-adds against a PixelLayer. See Note [Fixed front end]."""
    channels, outputs = len(format.selection), convolution.out_channels
    return 4 * outputs * channels < 64 * channels + 9 * 64 + 192 * outputs


def _patch_of(convolution: nn.Conv2d) -> tuple[int, int] | None:
    """Return the patch (height, width) of a convolution over RGB that reads each patch of 4 x 4 or of blocks once."""
    height, width = convolution.kernel_size
    reads_once = (
        convolution.groups == 1
        and convolution.kernel_size == convolution.stride
        and convolution.padding in ((0, 0), "valid")
        and convolution.dilation == (1, 1)
    )
    fits = (height, width) == (4, 4) or (height % 8 == 0 and width % 8 == 0)
    return (height, width) if reads_once and fits else None


def _is_size(value: Any, multiple: int = 1) -> bool:
    """Whether a value is a size, or a pair of sizes, of which each is a multiple of a number."""
    return isinstance(value, int | tuple) and all(isinstance(s, int) and s % multiple == 0 for s in _pair(value))


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _eighth(value: Any) -> Any:
    """Return a size in blocks, at least 1."""
    return max(value // 8, 1) if isinstance(value, int) else tuple(max(side // 8, 1) for side in value)


def _folded(convolution: nn.Conv2d, format: TensorFormat, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """Fold the fixed front end into a convolution that reads patches; patches of 4 x 4 become a pixel shuffle's."""
    rgb = convolution.weight.detach().double().cpu().numpy()  # [O, 3, P, Q]
    bias = np.zeros(len(rgb)) if convolution.bias is None else convolution.bias.detach().double().cpu().numpy()
    quarters = convolution.kernel_size == (4, 4)
    if quarters:  # [4 * O, 3, 8, 8]: each kernel at each of the four quarters of a block, as pixel_shuffle orders them
        corners = [(0, 0), (0, 4), (4, 0), (4, 4)]
        placed = [np.pad(rgb, ((0, 0), (0, 0), (y, 4 - y), (x, 4 - x))) for y, x in corners]
        rgb, bias = np.stack(placed, 1).reshape(-1, 3, 8, 8), np.repeat(bias, 4)
    outputs, _, patch_height, patch_width = rgb.shape
    high, wide = patch_height // 8, patch_width // 8
    deviation = np.array(std)
    shift = (128 / 255 - np.array(mean)) / deviation  # [3]
    bias = bias + np.einsum("oryx,r->o", rgb, shift)
    # [O, RGB, a, y, b, x] with the colors as YCbCr and each block's pixels (y, x) as frequencies (v, u)
    blocks = rgb.reshape(outputs, 3, high, 8, wide, 8)
    colored = np.einsum("oraybx,rc->ocyxab", blocks, TO_RGB / (255 * deviation[:, None]))
    weight = np.einsum("ocpab,pk->ockab", colored.reshape(outputs, 3, 64, high, wide), block_basis())
    weight = weight.reshape(outputs, CHANNEL_COUNT, high, wide)
    scale, offset = undo_statistics(format)
    bias = bias + np.einsum("okab,k->o", weight, offset)
    weight = weight[:, list(format.selection.channels)] * scale[:, None, None]
    folded = _FrequencyConv2d(weight.shape[1], outputs, (high, wide), stride=(high, wide), dtype=torch.float64)
    with torch.no_grad():
        folded.weight.copy_(torch.from_numpy(weight))
        assert folded.bias is not None
        folded.bias.copy_(torch.from_numpy(bias))
    folded = folded.to(convolution.weight.device, convolution.weight.dtype)
    folded = folded.requires_grad_(convolution.weight.requires_grad)
    return nn.Sequential(folded, nn.PixelShuffle(2)) if quarters else folded


class _FrequencyConv2d(nn.Conv2d):
    """A convolution over frequencies, which autocast leaves in its own precision, as it does a PixelLayer."""

    def forward(self, x: Tensor) -> Tensor:
        """Turn [N, C, H / 8, W / 8] into [N, O, h, w]."""
        with full_precision(x.device):
            return super().forward(x.to(self.weight.dtype))
