"""Crop, resize and flip an image from its coefficients, straight to a frequency tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from jpegfreq import _native
from jpegfreq._arguments import check_choice, check_flag, check_type, pixel_size
from jpegfreq._memory import empty
from jpegfreq.assembly.checks import check_color, check_out
from jpegfreq.assembly.tensor import CHROMA_NUMBERS
from jpegfreq.coefficients import Coefficients
from jpegfreq.crops import FILTERS, Filter, Window, checked_box, region_of
from jpegfreq.format import TensorFormat

if TYPE_CHECKING:
    import numpy.typing as npt

    from jpegfreq.assembly.checks import TorchTensor
    from jpegfreq.crops import Box

    Tensor = TypeVar("Tensor", bound=TorchTensor)

__all__ = ["Chroma", "resample"]

Chroma = Literal["fancy", "replicate", "direct"]

_MAX_SIZE = 65536


@overload
def resample(
    coefficients: Coefficients,
    box: Box | Window,
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
) -> npt.NDArray[Any]: ...
@overload
def resample(
    coefficients: Coefficients,
    box: Box | Window,
    size: tuple[int, int],
    *,
    flip: bool = False,
    vertical_flip: bool = False,
    filter: Filter = "bilinear",
    antialias: bool = True,
    chroma: Chroma | None = None,
    apply_orientation: bool = False,
    format: TensorFormat | None = None,
    out: Tensor,
) -> Tensor: ...
def resample(
    coefficients: Coefficients,
    box: Box | Window,
    size: tuple[int, int],
    *,
    flip: bool = False,
    vertical_flip: bool = False,
    filter: Filter = "bilinear",
    antialias: bool = True,
    chroma: Chroma | None = None,
    apply_orientation: bool = False,
    format: TensorFormat | None = None,
    out: npt.NDArray[Any] | TorchTensor | None = None,
) -> Any:
    """Crop a box out of an image, resize and flip it, and return its frequency tensor, without decoding to pixels.

    The result equals the following steps within 1e-3: inverse DCT of each component without rounding or clamping;
    chroma brought to full resolution; crop;
    `torch.nn.functional.interpolate(size=size, mode=filter, antialias=antialias)`; flip; block DCT. Filter "box" is
    Pillow's with antialias, and the nearest pixel without. The values of a 12-bit image are divided by 16, so that they
    have the grey levels of 8-bit images. The GIL is released.

    With a Window, the whole image is resized, and the window is cropped afterwards: the result equals, likewise, what
    torchvision's Resize and CenterCrop give. No more of the image is transformed than the window's filter reaches.

    Args:
        coefficients: of a YCbCr or grey image; of a YCCK image, luma channels alone are possible, as for
            `to_frequency_tensor`.
        box: (top, left, height, width) in pixels of the full image; or a Window of the resized image. It must lie
            inside the image.
        size: (height, width) of the resized box or of the window in pixels. If they are not multiples of 8, the tensor
            has whole blocks nevertheless; their further pixels lie below and right of the window in the resized image,
            whose edge is repeated. PixelLayer cuts them off.
        flip: mirror the result left to right.
        vertical_flip: mirror the result top to bottom.
        filter: "bilinear", "bicubic" or "box".
        antialias: widen the filter where the box is reduced.
        chroma: "fancy" and "replicate" as in TensorFormat; "direct" goes from the component's own resolution to the
            output in one step. None for the chroma mode of the format.
        apply_orientation: turn the image upright first, as its EXIF orientation asks; `box` and `size` then refer to
            the upright image.
        format: channels, layout, dtype and statistics; default TensorFormat().
        out: the NumPy array or the torch tensor to write to, as for `read_batch`: contiguous, with the dtype of the
            format and the shape of the result.

    Returns:
        `out`, or a new NumPy array: [C, height / 8, width / 8], rounded up, or [.., .., C] for layout "HWC".

    Raises:
        UnsupportedJpegError: the image is RGB, CMYK, YCCK (unless only luma is selected) or of unknown colour.
        ValueError: the box is empty or not inside the image, the window does not have the size, or `out` does not fit.
        TypeError: an argument has the wrong type.

    >>> from jpegfreq import read_coefficients
    >>> resample(read_coefficients(gray_16x8), (0, 4, 8, 8), (16, 16)).shape
    (192, 2, 2)
    """
    format = TensorFormat.of(format)
    check_type("coefficients", coefficients, Coefficients, ", as read_coefficients returns them")
    header = coefficients.header
    check_color(header, format)
    upright = check_flag("apply_orientation", apply_orientation)
    size = _output_size(size)
    if not isinstance(box, Window):
        box = checked_box(box, *(header.upright_size if upright else (header.height, header.width)))
    region = region_of(box, size)
    shape = format.shape(*size)
    if out is None:
        out = empty(shape, format.numpy_dtype)
    else:
        check_out(out, shape, format.numpy_dtype)
    _native.resample(
        coefficients,
        region,
        size,
        check_flag("flip", flip),
        check_flag("vertical_flip", vertical_flip),
        upright,
        _filter_number(filter),
        check_flag("antialias", antialias),
        _chroma_number(chroma, format),
        *format.affine,
        format.layout == "HWC",
        out,
    )
    return out


def _output_size(size: tuple[int, int]) -> tuple[int, int]:
    return pixel_size("size", size, most=_MAX_SIZE)


def _filter_number(filter: str) -> int:
    check_choice("filter", filter, FILTERS)
    return FILTERS.index(filter)


def _chroma_number(chroma: str | None, format: TensorFormat) -> int:
    chosen = format.chroma if chroma is None else chroma
    check_choice("chroma", chosen, CHROMA_NUMBERS)
    return CHROMA_NUMBERS[chosen]
