"""A drop-in for jpeg2dct.numpy, which returns the coefficients of the file itself for every sampling.

jpeg2dct compresses every image other than 4:2:0 and grey a second time, at 4:2:0, and returns the coefficients of that.
Here the chroma arrays of a 4:4:4 image are as large as that of luma.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from jpegfreq.coefficients import Coefficients, read_coefficients
from jpegfreq.errors import JpegError

if TYPE_CHECKING:
    import numpy.typing as npt
    from typing_extensions import Buffer

__all__ = ["load", "loads"]


def load(filename: str | os.PathLike[str], normalized: bool = True, channels: int = 3) -> list[npt.NDArray[np.int16]]:
    """Read the coefficients of a JPEG file.

    Args:
        filename: the file.
        normalized: multiply the coefficients by their quantization tables.
        channels: 3 for Y, Cb and Cr, or 1 for Y alone.

    Returns:
        A list of int16 arrays [blocks_high, blocks_wide, 64], in raster order of the frequencies. The chroma of a grey
        image is zero, and has half as many blocks along each side.

    Raises:
        OSError: there is no such file.
        RuntimeError: it is not a JPEG, it is damaged, or it is neither grey nor YCbCr.
        ValueError: `channels` is neither 3 nor 1.
    """
    _check_channels(channels)
    if not os.path.exists(filename):
        raise OSError(f"{os.fspath(filename)} does not exist")
    return _planes(filename, normalized, channels)


def loads(buffer: Buffer, normalized: bool = True, channels: int = 3) -> list[npt.NDArray[np.int16]]:
    """Read the coefficients of a JPEG in memory; see `load`."""
    _check_channels(channels)
    return _planes(memoryview(buffer), normalized, channels)


def _check_channels(channels: int) -> None:
    if channels not in (1, 3):
        raise ValueError("channels should be 3 or 1")


def _planes(data: str | os.PathLike[str] | memoryview, normalized: bool, channels: int) -> list[npt.NDArray[np.int16]]:
    try:
        image = read_coefficients(data)
    except JpegError as error:
        raise RuntimeError(str(error)) from error
    color = image.header.color
    if color not in ("grey", "YCbCr"):
        raise RuntimeError(f"the image has the colour {color}, and jpeg2dct's arrays are Y, Cb and Cr")
    planes = [_flat(image, c, normalized) for c in range(min(channels, len(image.planes)))]
    high, wide, _ = planes[0].shape
    while len(planes) < channels:
        planes.append(np.zeros(((high + 1) // 2, (wide + 1) // 2, 64), np.int16))
    return planes


def _flat(image: Coefficients, c: int, normalized: bool) -> npt.NDArray[np.int16]:
    plane = image.planes[c]
    shape = (*plane.shape[:2], 64)
    if not normalized:
        return plane.reshape(shape)
    values = plane.astype(np.int32) * image.quantization_tables[c].astype(np.int32)
    if values.size and np.abs(values).max() > np.iinfo(np.int16).max:
        raise RuntimeError(f"component {c} has a coefficient that does not fit into 16 bits: use normalized=False")
    return values.astype(np.int16).reshape(shape)
