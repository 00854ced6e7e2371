"""The fixed layer from frequency tensors to the normalized pixels that an RGB network takes.

Note [Fixed front end]
The inverse block DCT, the conversion from YCbCr to RGB and the network's own normalization are linear, so together they
are one fixed linear layer. With `D[u][x] = c_u cos((2x + 1) u pi / 16)`, c_0 = sqrt(1 / 8) and otherwise 1 / 2:

    component(y, x) = sum over v, u of D[v][y] D[u][x] coefficient[v][u]       (inverse DCT of an 8 x 8 block)
    pixel[r]        = sum over c of C[r][c] component[c] + 128                 (JFIF; RGB from 0 to 255)
    input[r]        = (pixel[r] / 255 - mean[r]) / std[r]                      (what the network was trained with)

A TensorFormat's statistics are undone by the same layer: coefficient = value * std + mean. A channel that the format
lacks stands at its mean, or at 0 without statistics; this is a constant, which goes into the bias.
Nothing is clipped to 0..255 and nothing is rounded, so the outputs equal those on the float pixels exactly.

A first convolution that reads each patch of the image once takes the layer in, because it is linear too:

    patch 8, 16, ...  an eighth of the kernel and of the stride, over the frequencies
    patch 4           each block holds 2 x 2 patches: a 1 x 1 convolution to 4 times the width, then a pixel shuffle

The second needs 4 * width * channels multiply-adds per block, and the layer form with the untouched convolution
64 * channels + 9 * 64 + 192 * width. At a width of 96 (ConvNeXt-T, Swin-T) folding is cheaper up to 59 channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from jpegfreq._dct import dct_matrix
from jpegfreq._words import counted
from jpegfreq.channels import CHANNEL_COUNT
from jpegfreq.format import TensorFormat

__all__ = ["TO_RGB", "PixelLayer", "block_basis", "full_precision", "undo_statistics"]

# The JFIF conversion, derived from the luma weights of R, G and B.
_LUMA = (0.299, 0.587, 0.114)
TO_RGB = np.array(
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
        self, format: TensorFormat, size: tuple[int, int] | None, *, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        """Make the layer.

        Args:
            format: the format of the input.
            size: (height, width) of the output in pixels. The input's grid is an eighth of it, rounded up, and pixels
                beyond the size are cut off. None for whole blocks, in a grid of any size.
            mean: the network's mean of R, G and B, for pixels from 0 to 1.
            std: the network's standard deviation of R, G and B, likewise.
        """
        super().__init__()
        self.size = size
        channels = np.array(format.selection.channels)
        scale, offset = undo_statistics(format)
        basis = block_basis()
        # Where each component's channels lie in the input.
        self.places = [np.flatnonzero(channels // 64 == component).tolist() for component in range(3)]
        self.inverse = nn.ParameterList()
        for places in self.places:
            weight = basis[:, channels[places] % 64] * scale[places]  # [64 pixels, n]
            self.inverse.append(_parameter(weight[:, :, None, None]))
        self.offset = _parameter(np.concatenate([basis @ offset[64 * c : 64 * c + 64] for c in range(3)]))  # [192]
        deviation = np.array(std)
        self.color = _parameter((TO_RGB / (255 * deviation[:, None]))[:, :, None, None])  # [3, 3, 1, 1]
        self.shift = _parameter((128 / 255 - np.array(mean)) / deviation)

    def forward(self, x: Tensor) -> Tensor:
        """Turn [N, C, H / 8, W / 8] into [N, 3, H, W]."""
        with full_precision(x.device):  # a DC coefficient needs more digits than bfloat16 has
            x = x.to(self.color.dtype)
            planes = []
            for component, (places, weight) in enumerate(zip(self.places, self.inverse, strict=True)):
                bias = self.offset[64 * component : 64 * component + 64]
                if places:
                    planes.append(nn.functional.conv2d(_take(x, places), weight, bias))  # [N, 64, H / 8, W / 8]
                else:
                    planes.append(bias[:, None, None].expand(x.shape[0], 64, *x.shape[2:]))
            pixels = nn.functional.pixel_shuffle(torch.cat(planes, 1), 8)  # [N, 3, H, W]: YCbCr
            if self.size is not None:
                pixels = pixels[:, :, : self.size[0], : self.size[1]]
            return nn.functional.conv2d(pixels, self.color, self.shift)  # [N, 3, H, W]: RGB, normalized

    def extra_repr(self) -> str:
        """Give the sizes."""
        pixels = "pixels of whole blocks" if self.size is None else f"height {self.size[0]} x width {self.size[1]}"
        return f"{counted(sum(map(len, self.places)), 'channel')} -> 3 x {pixels}"


def undo_statistics(format: TensorFormat) -> tuple[np.ndarray, np.ndarray]:
    """Return what turns values back into coefficients.

    Returns:
        The scale of each channel of the format, [C], and the offset of each of the 192 channels: its mean, which is all
        that stands for a channel that the format lacks.
    """
    channels = list(format.selection.channels)
    scale, offset = np.ones(len(channels)), np.zeros(CHANNEL_COUNT)
    if format.statistics is not None:
        scale, offset = np.array(format.statistics.std)[channels], np.array(format.statistics.mean)
    if format.steps is not None:
        scale = scale * np.array(format.steps)[channels]
    return scale, offset


def block_basis() -> np.ndarray:
    """Return the inverse DCT of a block as a matrix [pixel 8 * y + x, frequency 8 * v + u]."""
    basis: np.ndarray = np.kron(dct_matrix(), dct_matrix()).T
    return basis


def _take(x: Tensor, places: list[int]) -> Tensor:
    """Take channels of [N, C, H, W]; neighbours are taken as a slice, without a copy."""
    if places == list(range(places[0], places[0] + len(places))):
        return x[:, places[0] : places[0] + len(places)]
    return x[:, places]


def full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Switch autocast off; meta tensors know no autocast."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def _parameter(values: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.ascontiguousarray(values)), requires_grad=False)
