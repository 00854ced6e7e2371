"""Images that are not YCbCr JPEGs: decoded by Pillow, and transformed to the same frequency tensors."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jpegfreq._dct import dct_matrix
from jpegfreq.coefficients import DEFAULT_MAX_PIXELS
from jpegfreq.crops import Window
from jpegfreq.errors import UnsupportedJpegError
from jpegfreq.format import TensorFormat
from jpegfreq.header import Upright, read_header

if TYPE_CHECKING:
    import numpy.typing as npt

    from jpegfreq.crops import Filter
    from jpegfreq.views import Crop

__all__ = ["crop_pixels", "decode_rgb", "read_pixels", "to_frequency"]

# JFIF 1.02: YCbCr from RGB, without the offset of 128 that chroma gets.
_YCBCR = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))


def read_pixels(data: bytes | memoryview, *, apply_orientation: bool = False) -> torch.Tensor:
    """Decode an image of any kind that Pillow knows.

    Args:
        data: the file.
        apply_orientation: turn the image upright, as its EXIF orientation says.

    Returns:
        RGB, uint8 [3, height, width]. An alpha channel is dropped, as `Image.convert` does, and 16-bit values keep
        their upper eight bits.

    Raises:
        OSError: Pillow cannot read it, or it is larger than the decoder's `max_pixels`.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > DEFAULT_MAX_PIXELS:
                raise OSError(f"height {image.height} x width {image.width} is more than {DEFAULT_MAX_PIXELS} pixels")
            upright = ImageOps.exif_transpose(image) if apply_orientation else image
            if upright.mode == "F":
                raise OSError("floating-point pixels have no known white level")
            if upright.mode.startswith("I"):  # 16 bits of grey, which `convert` would clip to white
                grey = np.clip(np.array(upright) // 256, 0, 255).astype(np.uint8)
                pixels = np.stack([grey] * 3, axis=2)
            else:
                pixels = np.array(upright.convert("RGB"))
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of its parsers: DecompressionBombError, struct.error, SyntaxError and others
        raise OSError(f"Pillow cannot read it: {error}") from error
    return torch.from_numpy(pixels).permute(2, 0, 1)


def decode_rgb(data: bytes | memoryview, *, apply_orientation: bool = False) -> torch.Tensor:
    """Decode a JPEG with torchvision.

    Args:
        data: the file.
        apply_orientation: turn the image upright, as its EXIF orientation says.

    Returns:
        RGB, uint8 [3, height, width].

    Raises:
        RuntimeError: torchvision cannot read it.
    """
    from torchvision.io import ImageReadMode, decode_jpeg

    pixels: torch.Tensor = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB)
    return _upright(pixels, read_header(data).orientation) if apply_orientation else pixels


def _upright(pixels: torch.Tensor, orientation: int) -> torch.Tensor:
    """Turn pixels [C, height, width] upright, as their EXIF orientation asks."""
    turn = Upright.of(orientation)
    turned = pixels.transpose(1, 2) if turn.transpose else pixels
    return turned.flip([axis for axis, mirror in ((1, turn.mirror_rows), (2, turn.mirror_columns)) if mirror])


def crop_pixels(
    pixels: torch.Tensor,
    crop: Crop,
    size: tuple[int, int],
    *,
    filter: Filter = "bilinear",
    antialias: bool = True,
    whole_blocks: bool = False,
    rounded: bool = False,
) -> torch.Tensor:
    """Cut a crop out of pixels, resize and flip it, as `resample` does with coefficients.

    Args:
        pixels: uint8 [3, height, width].
        crop: a box, which is cut out and resized; or a window, which is cut out of the whole resized image.
        size: (height, width) of the result.
        filter: "bilinear" or "bicubic".
        antialias: widen the filter where the crop is reduced.
        whole_blocks: make height and width multiples of 8, with the pixels that follow in the resized image.
        rounded: round the result to whole grey levels from 0 to 255, as torchvision's Resize does with images.

    Returns:
        float32 [3, *size].

    Raises:
        UnsupportedJpegError: the image is so long that the resized image would be too large.
    """
    if isinstance(crop.box, Window):
        resized, top, left = crop.box.resized, crop.box.top, crop.box.left
        if resized[0] * resized[1] > DEFAULT_MAX_PIXELS:
            raise UnsupportedJpegError(
                f"the image has more than {DEFAULT_MAX_PIXELS} pixels when it is resized: height {resized[0]} x width "
                f"{resized[1]}"
            )
    else:
        first_row, first_column, height, width = crop.box
        pixels = pixels[:, first_row : first_row + height, first_column : first_column + width]
        resized, top, left = size, 0, 0
    if rounded:
        image = _rounded(pixels, resized, filter, antialias)
    else:
        floats = pixels[None].to(torch.float32)
        image = torch.nn.functional.interpolate(floats, size=resized, mode=filter, antialias=antialias)[0]
    count = [-(-side // 8) * 8 for side in size] if whole_blocks else size
    rows = (top + torch.arange(count[0])).clamp(0, resized[0] - 1)
    along = torch.arange(count[1])
    columns = (left + (size[1] - 1 - along if crop.flip else along)).clamp(0, resized[1] - 1)
    return image[:, rows][:, :, columns].to(torch.float32)


def _rounded(pixels: torch.Tensor, size: tuple[int, int], filter: Filter, antialias: bool) -> torch.Tensor:
    """Resize pixels as torchvision's Resize does: uint8 [3, *size]."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    found: torch.Tensor = functional.resize(pixels, list(size), InterpolationMode(filter), antialias=antialias)
    return found


def to_frequency(pixels: torch.Tensor, format: TensorFormat) -> npt.NDArray[Any]:
    """Transform RGB pixels to a frequency tensor: to YCbCr, then by the DCT of each block.

    Args:
        pixels: float [3, height, width], from 0 to 255; height and width are multiples of 8.
        format: what the tensor holds.

    Returns:
        What `resample` returns for the same image: [C, height / 8, width / 8], or [height / 8, width / 8, C] for
        layout "HWC".
    """
    dct = torch.from_numpy(dct_matrix().copy())
    planes = torch.einsum("kc,chw->khw", torch.tensor(_YCBCR, dtype=torch.float64), pixels.to(torch.float64))
    planes[0] -= 128
    _, height, width = planes.shape
    blocks = planes.reshape(3, height // 8, 8, width // 8, 8)
    channels = torch.einsum("vy,kiyjx,ux->kvuij", dct, blocks, dct).reshape(192, height // 8, width // 8).numpy()
    chosen = np.array(format.selection.channels)
    values = channels[chosen]
    if format.statistics is not None:
        mean, std = (np.array(x)[chosen, None, None] for x in (format.statistics.mean, format.statistics.std))
        values = (values - mean) / std
    if format.dtype == "float16":
        values = values.clip(-65504, 65504)
    if format.layout == "HWC":
        values = values.transpose(1, 2, 0)
    if format.steps is not None:
        values = np.rint(values / np.array(format.steps)[chosen, None, None]).clip(-127, 127)
    return np.ascontiguousarray(values, format.numpy_dtype)
