"""Crop, resize and flip an image from its coefficients, straight to a frequency tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jpegfreq import _native
from jpegfreq.assembly.checks import check_color, check_out
from jpegfreq.assembly.tensor import CHROMA_NUMBERS
from jpegfreq.format import TensorFormat

if TYPE_CHECKING:
    import numpy.typing as npt

    from jpegfreq.coefficients import Coefficients
    from jpegfreq.crops import Box

__all__ = ["Chroma", "Filter", "resample"]

Filter = Literal["bilinear", "bicubic", "box"]
Chroma = Literal["fancy", "replicate", "direct"]

_FILTERS = {"box": 0, "bilinear": 1, "bicubic": 2}  # enum Filter of jpegfreq_resample.h
_MAX_SIZE = 65536


def resample(
    coefficients: Coefficients,
    box: Box,
    size: tuple[int, int],
    *,
    flip: bool = False,
    vertical_flip: bool = False,
    filter: Filter = "bilinear",
    antialias: bool = True,
    chroma: Chroma | None = None,
    apply_orientation: bool = False,
    format: TensorFormat | None = None,
    out: npt.NDArray[Any] | None = None,
) -> npt.NDArray[Any]:
    """Crop a box out of an image, resize and flip it, and give its frequency tensor; no image is made on the way.

    Equal, to 1e-3, to: inverse DCT of each component without rounding or clamping, chroma brought to full resolution,
    crop, `torch.nn.functional.interpolate(size=size, mode=filter, antialias=antialias)`, flip, block DCT. Filter "box"
    is Pillow's with antialias, and the nearest pixel without. Other Python threads run meanwhile.

    Args:
        coefficients: of a YCbCr or grey image, or the luma of a YCCK image, as for `to_frequency_tensor`.
        box: (top, left, height, width) in pixels of the full image; inside it.
        size: (height, width) of the resized box in pixels, multiples of 8.
        flip: mirror the result left to right.
        vertical_flip: mirror the result top to bottom.
        filter: "bilinear", "bicubic" or "box".
        antialias: widen the filter where the box shrinks.
        chroma: "fancy" and "replicate" as in TensorFormat; "direct" goes from the component's own resolution to the
            output in one step. None for the format's.
        apply_orientation: turn the image upright first, as its EXIF orientation says; `box` and `size` are those of the
            upright image.
        format: channels, layout, dtype and statistics; default TensorFormat().
        out: where to write: C-contiguous, of the format's dtype and the result's shape.

    Returns:
        `out`, or a new array: [C, height / 8, width / 8], or [.., .., C] for layout "HWC".

    Raises:
        UnsupportedJpegError: the image is RGB, CMYK, YCCK (other than luma only) or of unknown colour.
        ValueError: the box is empty or not inside the image, the size is not a multiple of 8, or `out` does not fit.

    >>> from jpegfreq import read_coefficients
    >>> resample(read_coefficients(gray_16x8), (0, 4, 8, 8), (16, 16)).shape
    (192, 2, 2)
    """
    format = _DEFAULT if format is None else format
    check_color(coefficients.header, format)
    shape = _tensor_shape(size, format)
    if out is None:
        out = np.empty(shape, format.numpy_dtype)
    else:
        check_out(out, shape, format.numpy_dtype)
    _native.resample(
        coefficients,
        box,
        flip,
        vertical_flip,
        apply_orientation,
        _filter_number(filter),
        antialias,
        _chroma_number(chroma, format),
        *format.affine,
        format.layout == "HWC",
        out,
    )
    return out


_DEFAULT = TensorFormat()


def _tensor_shape(size: tuple[int, int], format: TensorFormat) -> tuple[int, int, int]:
    height, width = size
    if not all(0 < pixels <= _MAX_SIZE and pixels % 8 == 0 for pixels in (height, width)):
        raise ValueError(f"size must be (height, width) in multiples of 8 up to {_MAX_SIZE}, not {size!r}")
    return format.shape(height, width)


def _filter_number(filter: str) -> int:
    if filter not in _FILTERS:
        raise ValueError(f"filter must be one of {', '.join(_FILTERS)}, not {filter!r}")
    return _FILTERS[filter]


def _chroma_number(chroma: str | None, format: TensorFormat) -> int:
    chosen = format.chroma if chroma is None else chroma
    if chosen not in CHROMA_NUMBERS:
        raise ValueError(f"to resample, chroma must be one of {', '.join(CHROMA_NUMBERS)}, not {chosen!r}")
    return CHROMA_NUMBERS[chosen]
