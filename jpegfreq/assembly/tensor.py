"""Coefficients of a whole image to its frequency tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jpegfreq import _native
from jpegfreq._arguments import check_type
from jpegfreq._memory import empty
from jpegfreq.assembly.checks import check_array, check_color
from jpegfreq.coefficients import Coefficients
from jpegfreq.format import TensorFormat

if TYPE_CHECKING:
    from jpegfreq.format import Placement
    from jpegfreq.header import Component, Header

__all__ = ["to_frequency_tensor"]


def to_frequency_tensor(
    coefficients: Coefficients, format: TensorFormat | None = None, *, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Dequantize an image's coefficients and lay all components out on one grid of 8 x 8 pixel blocks.

    Values are dequantized coefficients in the grey levels of 8-bit images: the DC coefficient of a flat block of value
    m is 8 * (m - 128) in an 8-bit file and 8 * (m / 16 - 128) in a 12-bit one, as `resample` and `read_batch` have it.

    A component of lower resolution is upsampled. The result equals, to 1e-3, the inverse DCT of its plane without
    rounding or clamping, upsampled by libjpeg's triangle filter ("fancy", weights 3/4 and 1/4) or by replication, cut
    into blocks, and transformed again. Ratios other than 1 and 2 (4:1:1, 3:1, 3:2, or a luma of lower resolution than
    chroma) follow the same rule: linear interpolation between sample centres. Along an axis that is upsampled, only
    the component's own ceil(size * H_i / H_max) samples (T.81 A.1.1) are used. After the last one that sample is
    repeated, as libjpeg does, both as its neighbour and to fill the grid's last block. Along an axis that is not
    upsampled, the last block holds what the file has coded there.

    Args:
        coefficients: of a YCbCr or grey image; damaged ones (`damage="keep"`) are taken as they are. A YCCK image is
            taken with a selection of luma channels only.
        format: channels, chroma mode, layout, dtype and statistics; default TensorFormat().
        out: where to write: C-contiguous, of the format's dtype and shape.

    Returns:
        `out`, or a new array: [C, ceil(height / 8), ceil(width / 8)], or [.., .., C] for layout "HWC". Chroma of a grey
        image is zero, and is normalized like any other value.

    Raises:
        UnsupportedJpegError: the image is RGB, CMYK, YCCK (other than luma only) or of unknown colour.
        ValueError: `out` does not fit.

    >>> from jpegfreq.coefficients import read_coefficients
    >>> to_frequency_tensor(read_coefficients(gray_16x8)).shape
    (192, 1, 2)
    """
    format = TensorFormat.of(format)
    check_type("coefficients", coefficients, Coefficients, ", as read_coefficients returns them")
    header = coefficients.header
    check_color(header, format)
    shape = format.shape(header.height, header.width)
    if out is None:
        out = empty(shape, format.numpy_dtype)
    else:
        check_array(out, shape, format.numpy_dtype)
    most = _highest_sampling(header)
    upsampled = False
    for number, placement in enumerate(format.placements):
        if placement.frequencies.size == 0:
            continue
        if number >= len(header.components):  # the chroma of a grey image
            channels_first = out if format.layout == "CHW" else out.transpose(2, 0, 1)
            constant = placement.shift
            if format.dtype == "int8":
                constant = np.clip(np.rint(constant), -127, 127)
            channels_first[placement.slots] = constant[:, None, None]
        elif _sampling(header.components[number]) == most:
            table = coefficients.quantization_tables[number] * np.float32(header.grey_level)
            _place_on_grid(coefficients.planes[number], table, placement, format, out)
        else:
            upsampled = True
    if upsampled:
        channels_last = format.layout == "HWC"
        _native.upsample(coefficients, CHROMA_NUMBERS[format.chroma], *format.affine, channels_last, out)
    return out


# enum ChromaResampling of jpegfreq_resample.h
CHROMA_NUMBERS = {"direct": 0, "fancy": 1, "replicate": 2}

# How many blocks are split into planes of one frequency at a time: few enough to stay in the cache, and no power of
# two, which would put all planes into the same cache sets.
_SPLIT_BLOCKS = 1500


def _sampling(component: Component) -> tuple[int, int]:
    return component.vertical_sampling_factor, component.horizontal_sampling_factor


def _highest_sampling(header: Header) -> tuple[int, int]:
    vertical, horizontal = zip(*map(_sampling, header.components), strict=True)
    return max(vertical), max(horizontal)


def _place_on_grid(
    plane: npt.NDArray[np.int16],
    table: npt.NDArray[np.float32],
    placement: Placement,
    format: TensorFormat,
    out: npt.NDArray[Any],
) -> None:
    """Fill the channels of a component of full resolution: no upsampling, each block keeps its place."""
    from jpegfreq.assembly import kernels  # Numba, which takes a moment to import

    blocks = np.require(plane, np.int16, ["C", "A", "W"]).reshape(-1, 64)
    scale = table.reshape(64)[placement.frequencies] * placement.scale
    stored = out.view(np.uint16) if format.dtype == "float16" else out
    if format.layout == "CHW":
        channels = stored.reshape(stored.shape[0], -1)
        split = np.empty((64, min(len(blocks), _SPLIT_BLOCKS)), np.int16)
        for start in range(0, len(blocks), _SPLIT_BLOCKS):
            part = blocks[start : start + _SPLIT_BLOCKS]
            frequencies = split if len(part) == split.shape[1] else np.empty((64, len(part)), np.int16)
            _native.split_frequencies(part, placement.rows, frequencies)
            kernels.place_frequencies(
                frequencies, placement.frequencies, placement.slots, scale, placement.shift, start, channels
            )
        return
    cells = stored.reshape(len(blocks), -1)
    if placement.is_whole_block:
        kernels.place_whole_blocks(blocks, placement.slots[0], scale, placement.shift, cells)
    else:
        kernels.place_blocks(blocks, placement.frequencies, placement.slots, scale, placement.shift, cells)
