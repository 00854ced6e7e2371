"""Run RGB networks on frequency tensors, with the same outputs and without retraining.

Note [Fixed front end]
The inverse block DCT, the conversion from YCbCr to RGB and the network's own normalization are linear, so together they
are one fixed linear layer. With D[u][x] = c_u cos((2x + 1) u pi / 16), c_0 = sqrt(1 / 8) and otherwise 1 / 2:

    component(y, x) = sum over v, u of D[v][y] D[u][x] coefficient[v][u]       (inverse DCT of an 8 x 8 block)
    pixel[r]        = sum over c of C[r][c] component[c] + 128                 (JFIF; RGB from 0 to 255)
    input[r]        = (pixel[r] / 255 - mean[r]) / std[r]                      (what the network was trained with)

A TensorFormat's statistics are undone by the same layer: coefficient = value * std + mean. A channel that the format
lacks stands at its mean, or at 0 without statistics; this is a constant, which goes into the bias.
Nothing is clipped to 0..255 and nothing is rounded, so the outputs equal those on the float pixels exactly.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from jpegfreq._dct import dct_matrix
from jpegfreq.channels import CHANNEL_COUNT
from jpegfreq.format import TensorFormat

__all__ = ["FrequencyNetwork", "PixelLayer", "from_rgb"]

Form = Literal["layer", "folded patch"]

# The JFIF conversion, derived from the luma weights of R, G and B.
_LUMA = (0.299, 0.587, 0.114)
_TO_RGB = np.array(
    (
        (1, 0, 2 - 2 * _LUMA[0]),
        (1, -_LUMA[2] * (2 - 2 * _LUMA[2]) / _LUMA[1], -_LUMA[0] * (2 - 2 * _LUMA[0]) / _LUMA[1]),
        (1, 2 - 2 * _LUMA[2], 0),
    )
)


class PixelLayer(nn.Module):
    """Turn frequency tensors into an RGB network's normalized input. See Note [Fixed front end].

    The inverse DCT is a 1 x 1 convolution per component, then a pixel shuffle; the color conversion and the
    normalization are a 1 x 1 convolution 3 -> 3. At 224 x 224 pixels and with all 192 channels that is 0.010 GMAC.

    The weights do not require gradients; `requires_grad_()` frees them for fine-tuning.
    """

    def __init__(
        self, format: TensorFormat, size: tuple[int, int], *, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        """Make the layer.

        Args:
            format: the format of the input.
            size: (height, width) of the output in pixels. The input's grid is an eighth of it, rounded up, and pixels
                beyond the size are cut off.
            mean: the network's mean of R, G and B, for pixels from 0 to 1.
            std: the network's standard deviation of R, G and B, likewise.
        """
        super().__init__()
        self.size = size
        channels = np.array(format.selection.channels)
        scale, offset = _undo_statistics(format)
        basis = _basis()
        # Where each component's channels lie in the input.
        self.places = [np.flatnonzero(channels // 64 == component).tolist() for component in range(3)]
        self.inverse = nn.ParameterList()
        for places in self.places:
            weight = basis[:, channels[places] % 64] * scale[places]  # [64 pixels, n]
            self.inverse.append(_parameter(weight[:, :, None, None]))
        self.offset = _parameter(np.concatenate([basis @ offset[64 * c : 64 * c + 64] for c in range(3)]))  # [192]
        deviation = np.array(std)
        self.color = _parameter((_TO_RGB / (255 * deviation[:, None]))[:, :, None, None])  # [3, 3, 1, 1]
        self.shift = _parameter((128 / 255 - np.array(mean)) / deviation)

    def forward(self, x: Tensor) -> Tensor:
        """Turn [N, C, H / 8, W / 8] into [N, 3, H, W]."""
        with _full_precision(x.device):  # a DC coefficient needs more digits than bfloat16 has
            x = x.to(self.color.dtype)
            planes = []
            for component, (places, weight) in enumerate(zip(self.places, self.inverse, strict=True)):
                bias = self.offset[64 * component : 64 * component + 64]
                if places:
                    planes.append(nn.functional.conv2d(_take(x, places), weight, bias))  # [N, 64, H / 8, W / 8]
                else:
                    planes.append(bias[:, None, None].expand(x.shape[0], 64, *x.shape[2:]))
            height, width = self.size
            pixels = nn.functional.pixel_shuffle(torch.cat(planes, 1), 8)[:, :, :height, :width]  # [N, 3, H, W]: YCbCr
            return nn.functional.conv2d(pixels, self.color, self.shift)  # [N, 3, H, W]: RGB, normalized

    def extra_repr(self) -> str:
        """Give the sizes."""
        channels = sum(map(len, self.places))
        return f"{channels} channels -> 3 x height {self.size[0]} x width {self.size[1]}"


class FrequencyNetwork(nn.Module):
    """An RGB network on frequency tensors; `from_rgb` makes it.

    Attributes:
        form: "layer" if a PixelLayer stands in front of the network, "folded patch" if the network's patch embedding
            takes the frequencies itself.
        format: the format of its input.
        size: (height, width) in pixels of the images.
        classes: the names of the network's outputs; () if they have none.
        front: the PixelLayer; nn.Identity for a folded patch.
        network: the RGB network, or the copy with the folded patch embedding.
    """

    def __init__(
        self,
        form: Form,
        front: nn.Module,
        network: nn.Module,
        *,
        format: TensorFormat,
        size: tuple[int, int],
        classes: tuple[str, ...],
    ) -> None:
        """Join the two parts."""
        super().__init__()
        self.form = form
        self.format = format
        self.size = size
        self.classes = classes
        self.front = front
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Run the network on [N, C, H / 8, W / 8]."""
        grid = (-(-self.size[0] // 8), -(-self.size[1] // 8))
        wanted = (len(self.format.selection), *grid)
        if tuple(x.shape[1:]) != wanted:
            raise ValueError(
                f"the input must be [N, {', '.join(map(str, wanted))}], that is {wanted[0]} channels x height "
                f"{grid[0]} x width {grid[1]}, not {list(x.shape)}"
            )
        if self.form == "folded patch":
            x = x.to(next(self.network.parameters()).dtype)
        output: Tensor = self.network(self.front(x))
        return output

    def __repr__(self) -> str:
        """Name the network, its form and its input, not the network's layers."""
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return (
            f"FrequencyNetwork({type(self.network).__name__}, {self.form}, {len(self.format.selection)} channels of "
            f"images of height {self.size[0]} x width {self.size[1]} pixels{classes})"
        )


def from_rgb(
    network: nn.Module,
    *,
    size: int | tuple[int, int] = 224,
    mean: Sequence[float],
    std: Sequence[float],
    format: TensorFormat | None = None,
    classes: Sequence[str] = (),
) -> FrequencyNetwork:
    """Make a trained RGB network take frequency tensors; its outputs stay the same, and nothing is retrained.

    The patch embedding of a vision transformer (torchvision's, or timm's with a PatchEmbed) whose patch is a multiple
    of 8 takes the frequencies itself, at no extra cost. In front of any other network stands a PixelLayer.

    Args:
        network: a network that takes [N, 3, height, width]. It is not changed; the result holds a copy.
        size: (height, width) of the images in pixels, or one number for both.
        mean: the mean of R, G and B that the network's input was normalized with, for pixels from 0 to 1.
        std: the standard deviation of R, G and B, likewise.
        format: the format of the tensors to come; None for all 192 channels without statistics. Missing channels are
            taken to be at their mean.
        classes: the names of the network's outputs.

    Returns:
        A module that takes [N, C, height / 8, width / 8], in any memory order, on the network's device and in its
        precision. The grid is rounded up for sizes that are not multiples of 8.

    Raises:
        ValueError: the network does not take RGB, or an argument is out of range.

    >>> network = from_rgb(torchvision.models.resnet50(), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    >>> network(torch.zeros(1, 192, 28, 28)).shape
    torch.Size([1, 1000])
    """
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"size must be at least 1 pixel, not height {height} x width {width}")
    for name, values, low in (("mean", mean, 0.0), ("std", std, 1e-6)):
        if len(values) != 3 or not all(low <= value <= 1 for value in values):
            raise ValueError(f"{name} must be three numbers, for R, G and B as values from 0 to 1, not {tuple(values)}")
    first = next(((name, m) for name, m in network.named_modules() if isinstance(m, nn.Conv2d)), None)
    if first is not None and first[1].in_channels != 3:
        raise ValueError(
            f"the network's first convolution, {first[0]!r}, takes {first[1].in_channels} channels, but that of an RGB "
            "network takes 3"
        )
    format = TensorFormat() if format is None else format
    network = copy.deepcopy(network)
    weights = next((p for p in network.parameters() if p.is_floating_point()), torch.zeros(()))
    front: nn.Module = nn.Identity()
    form: Form = "folded patch"
    if height % 8 or width % 8 or not _fold_patch_embedding(network, (height, width), format, mean, std):
        form, front = "layer", PixelLayer(format, (height, width), mean=mean, std=std)
    front.to(weights.device, weights.dtype)
    made = FrequencyNetwork(form, front, network, format=format, size=(height, width), classes=tuple(classes))
    return made.train(network.training)


def _fold_patch_embedding(
    network: nn.Module, size: tuple[int, int], format: TensorFormat, mean: Sequence[float], std: Sequence[float]
) -> bool:
    """Let a vision transformer's patch embedding take the frequencies; return whether the network has one that fits.

    The embedding is a convolution whose kernel and stride are the patch. Over frequencies it is one with an eighth of
    the patch, and the same number of multiply-adds if all 192 channels are there.

    Raises:
        ValueError: the network takes images of another size.
    """
    name, convolution = next(((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d)), ("", None))
    if convolution is None or not name or not _is_patches(convolution):
        return False
    holder_name, _, own_name = name.rpartition(".")
    holder = network.get_submodule(holder_name)
    for size_name in ("image_size", "img_size"):  # in torchvision's VisionTransformer, in timm's PatchEmbed
        taken, patch = getattr(holder, size_name, None), getattr(holder, "patch_size", None)
        if not _in_blocks(taken) or not _in_blocks(patch):
            continue
        if _pair(taken) != size:
            (height, width), (given_height, given_width) = _pair(taken), size
            raise ValueError(
                f"the network takes images of height {height} x width {width} pixels, but size is height "
                f"{given_height} x width {given_width}"
            )
        setattr(holder, own_name, _folded(convolution, format, mean, std))
        # The network compares these with the size of its input, which is in blocks now.
        setattr(holder, size_name, _eighth(taken))
        holder.patch_size = _eighth(patch)
        return True
    return False


def _is_patches(convolution: nn.Conv2d) -> bool:
    """Whether a convolution over RGB reads each patch of whole blocks once."""
    return (
        convolution.in_channels == 3
        and convolution.groups == 1
        and convolution.kernel_size == convolution.stride
        and all(side % 8 == 0 for side in convolution.kernel_size)
        and convolution.padding in ((0, 0), "valid")
        and convolution.dilation == (1, 1)
    )


def _in_blocks(value: Any) -> bool:
    """Whether a size, or each side of a pair, is a multiple of 8."""
    return isinstance(value, int | tuple) and all(isinstance(side, int) and side % 8 == 0 for side in _pair(value))


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _eighth(value: Any) -> Any:
    return value // 8 if isinstance(value, int) else tuple(side // 8 for side in value)


def _folded(convolution: nn.Conv2d, format: TensorFormat, mean: Sequence[float], std: Sequence[float]) -> nn.Conv2d:
    """Fold the fixed front end into a patch embedding."""
    rgb = convolution.weight.detach().double().cpu().numpy()  # [O, 3, P, Q]
    outputs, _, patch_height, patch_width = rgb.shape
    high, wide = patch_height // 8, patch_width // 8
    deviation = np.array(std)
    shift = (128 / 255 - np.array(mean)) / deviation  # [3]
    bias = np.zeros(outputs) if convolution.bias is None else convolution.bias.detach().double().cpu().numpy()
    bias = bias + np.einsum("oryx,r->o", rgb, shift)
    # [O, RGB, a, y, b, x] with the colors as YCbCr and each block's pixels (y, x) as frequencies (v, u)
    blocks = rgb.reshape(outputs, 3, high, 8, wide, 8)
    colored = np.einsum("oraybx,rc->ocyxab", blocks, _TO_RGB / (255 * deviation[:, None]))
    weight = np.einsum("ocpab,pk->ockab", colored.reshape(outputs, 3, 64, high, wide), _basis())
    weight = weight.reshape(outputs, CHANNEL_COUNT, high, wide)
    scale, offset = _undo_statistics(format)
    bias = bias + np.einsum("okab,k->o", weight, offset)
    weight = weight[:, list(format.selection.channels)] * scale[:, None, None]
    folded = nn.Conv2d(weight.shape[1], outputs, (high, wide), stride=(high, wide), dtype=torch.float64)
    with torch.no_grad():
        folded.weight.copy_(torch.from_numpy(weight))
        assert folded.bias is not None
        folded.bias.copy_(torch.from_numpy(bias))
    folded = folded.to(convolution.weight.device, convolution.weight.dtype)
    return folded.requires_grad_(convolution.weight.requires_grad)


def _undo_statistics(format: TensorFormat) -> tuple[np.ndarray, np.ndarray]:
    """Return what turns values back into coefficients.

    Returns:
        The scale of each channel of the format, [C], and the offset of each of the 192 channels: its mean, which is all
        that stands for a channel that the format lacks.
    """
    channels = list(format.selection.channels)
    if format.statistics is None:
        return np.ones(len(channels)), np.zeros(CHANNEL_COUNT)
    return np.array(format.statistics.std)[channels], np.array(format.statistics.mean)


def _basis() -> np.ndarray:
    """Return the inverse DCT of a block as a matrix [pixel 8 * y + x, frequency 8 * v + u]."""
    basis: np.ndarray = np.kron(dct_matrix(), dct_matrix()).T
    return basis


def _take(x: Tensor, places: list[int]) -> Tensor:
    """Take channels of [N, C, H, W]; neighbours are taken as a slice, without a copy."""
    if places == list(range(places[0], places[0] + len(places))):
        return x[:, places[0] : places[0] + len(places)]
    return x[:, places]


def _full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Switch autocast off; meta tensors know no autocast."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def _parameter(values: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.ascontiguousarray(values)), requires_grad=False)
