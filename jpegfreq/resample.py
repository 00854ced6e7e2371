"""Crop, resize and flip an image from its coefficients, straight to a frequency tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from jpegfreq import _native
from jpegfreq.format import TensorFormat
from jpegfreq.tensor import _check_color, _check_out

if TYPE_CHECKING:
    import numpy.typing as npt

    from jpegfreq.coefficients import Coefficients

__all__ = ["Box", "center_crop_box", "random_resized_crop_box", "resample"]

# (top, left, height, width) in pixels of the full image.
Box: TypeAlias = tuple[int, int, int, int]

Filter = Literal["bilinear", "bicubic", "box"]
Chroma = Literal["fancy", "replicate", "direct"]

_FILTERS = {"box": 0, "bilinear": 1, "bicubic": 2}  # enum Filter of jpegfreq_resample.h
_CHROMAS = {"direct": 0, "fancy": 1, "replicate": 2}  # enum ChromaResampling
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
    _check_color(coefficients.header, format)
    shape = _tensor_shape(size, format)
    if out is None:
        out = np.empty(shape, format.numpy_dtype)
    else:
        _check_out(out, shape, format.numpy_dtype)
    _native.resample(
        coefficients,
        box,
        flip,
        vertical_flip,
        apply_orientation,
        _filter_number(filter),
        antialias,
        _chroma_number(chroma, format),
        *_channel_arrays(format),
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
    if chosen not in _CHROMAS:
        raise ValueError(f"to resample, chroma must be one of {', '.join(_CHROMAS)}, not {chosen!r}")
    return _CHROMAS[chosen]


@lru_cache(maxsize=64)
def _channel_arrays(
    format: TensorFormat,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Channel numbers in order, and what each is multiplied by and added to."""
    channels = np.array(format.selection.channels, np.uint16)
    if format.statistics is None:
        return channels, np.ones(len(channels), np.float32), np.zeros(len(channels), np.float32)
    scale = 1 / np.array(format.statistics.std)[channels]
    shift = -np.array(format.statistics.mean)[channels] * scale
    return channels, scale.astype(np.float32), shift.astype(np.float32)


def random_resized_crop_box(
    height: int,
    width: int,
    random: np.random.Generator | Callable[[], float],
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Box:
    """Draw a box as torchvision's RandomResizedCrop does: from the same distribution.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        random: a NumPy generator, or a function that draws uniformly from [0, 1): `lambda: float(torch.rand(()))`.
        scale: lower and upper bound of the box's share of the image's area.
        ratio: lower and upper bound of width / height.

    Returns:
        (top, left, height, width).

    >>> random_resized_crop_box(300, 400, np.random.default_rng(0))
    (133, 272, 137, 103)
    """
    if height < 1 or width < 1:
        raise ValueError(f"an image of {height} x {width} pixels has no box")
    draw = random.random if isinstance(random, np.random.Generator) else random
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(10):
        area = height * width * (scale[0] + (scale[1] - scale[0]) * draw())
        aspect = math.exp(low + (high - low) * draw())
        box_width = round(math.sqrt(area * aspect))
        box_height = round(math.sqrt(area / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(draw() * (height - box_height + 1))
            left = int(draw() * (width - box_width + 1))
            return top, left, box_height, box_width
    box_height, box_width = height, width
    if width / height < ratio[0]:
        box_height = min(max(round(width / ratio[0]), 1), height)
    elif width / height > ratio[1]:
        box_width = min(max(round(height * ratio[1]), 1), width)
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def center_crop_box(height: int, width: int, size: tuple[int, int], *, shorter_side: int) -> Box:
    """The box that "resize the shorter side, then crop the centre" keeps, as evaluation does it.

    Resizing this box to `size` is that, but for rounding to whole pixels: of the resized image there, of the box here.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        size: (height, width) of the crop, not larger than the resized image.
        shorter_side: what the shorter side is resized to.

    Returns:
        (top, left, height, width), in pixels of the image as it is.

    >>> center_crop_box(300, 400, (224, 224), shorter_side=256)
    (19, 69, 262, 262)
    """
    pixel = min(height, width) / shorter_side
    box_height, box_width = max(round(size[0] * pixel), 1), max(round(size[1] * pixel), 1)
    if box_height > height or box_width > width:
        raise ValueError(
            f"a crop of {size} is larger than {height} x {width} resized to a shorter side of {shorter_side}"
        )
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width
