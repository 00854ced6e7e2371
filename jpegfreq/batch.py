"""Read many images at once, in native threads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

import numpy as np

from jpegfreq import _native
from jpegfreq._arguments import check_choice, check_flag, image_list, whole_number
from jpegfreq._memory import empty
from jpegfreq._resample import _chroma_number, _filter_number, _output_size
from jpegfreq.assembly.checks import check_out
from jpegfreq.coefficients import DEFAULT_MAX_PIXELS, _keep_damage, _pixel_limit
from jpegfreq.crops import Window, region_of
from jpegfreq.format import TensorFormat

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from jpegfreq._resample import Chroma
    from jpegfreq.assembly.checks import TorchTensor
    from jpegfreq.coefficients import Coefficients
    from jpegfreq.crops import Box, Filter
    from jpegfreq.errors import JpegError
    from jpegfreq.header import Source

    BatchError: TypeAlias = JpegError | ValueError | OSError | MemoryError
    Tensor = TypeVar("Tensor", bound=TorchTensor)

__all__ = ["read_batch", "read_coefficients_batch"]

_MOST_THREADS = 65536


@overload
def read_coefficients_batch(
    images: Iterable[Source],
    *,
    threads: int | None = None,
    damage: Literal["raise", "keep"] = "raise",
    errors: Literal["raise"] = "raise",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> list[Coefficients]: ...
@overload
def read_coefficients_batch(
    images: Iterable[Source],
    *,
    threads: int | None = None,
    damage: Literal["raise", "keep"] = "raise",
    errors: Literal["return"],
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> list[Coefficients | JpegError | OSError | MemoryError]: ...
def read_coefficients_batch(
    images: Iterable[Source],
    *,
    threads: int | None = None,
    damage: Literal["raise", "keep"] = "raise",
    errors: Literal["raise", "return"] = "raise",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> list[Coefficients] | list[Coefficients | JpegError | OSError | MemoryError]:
    """Entropy-decode many JPEGs in native threads, with several images interleaved per core.

    Args:
        images: JPEG files, each bytes or a path as for `read_coefficients`. The threads read the paths.
        threads: how many threads decode; None for one per usable core.
        damage: "raise" makes a damaged image an error, "keep" returns what can be decoded of it.
        errors: "raise" raises the first error in the order of `images`, and its `.index` tells which image it is;
            "return" puts each error in the position of its image, so that one bad file never spoils the rest.
        max_pixels: the most pixels an image may have.

    Returns:
        The Coefficients of each image, as `read_coefficients` gives them, in the order of `images`.

    Raises:
        JpegError: as for `read_coefficients`, with `errors="raise"`.
        OSError: a path cannot be read, with `errors="raise"`.
        TypeError: an image is neither contiguous bytes nor a path, for both values of `errors`.

    >>> [c.header.width for c in read_coefficients_batch([gray_16x8, gray_16x8])]
    [16, 16]
    """
    return _native.read_coefficients_batch(
        image_list(images),
        _thread_count(threads),
        _keep_damage(damage),
        _return_errors(errors),
        _pixel_limit(max_pixels),
    )


@overload
def read_batch(
    images: Iterable[Source],
    *,
    size: tuple[int, int],
    boxes: Sequence[Box | Window] | npt.NDArray[np.integer[Any]] | None = None,
    flips: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
    filter: Filter = "bilinear",
    antialias: bool = True,
    chroma: Chroma | None = None,
    apply_orientation: bool = False,
    format: TensorFormat | None = None,
    out: npt.NDArray[Any] | None = None,
    threads: int | None = None,
    damage: Literal["raise", "keep"] = "raise",
    errors: Literal["raise"] = "raise",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> npt.NDArray[Any]: ...
@overload
def read_batch(
    images: Iterable[Source],
    *,
    size: tuple[int, int],
    boxes: Sequence[Box | Window] | npt.NDArray[np.integer[Any]] | None = None,
    flips: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
    filter: Filter = "bilinear",
    antialias: bool = True,
    chroma: Chroma | None = None,
    apply_orientation: bool = False,
    format: TensorFormat | None = None,
    out: npt.NDArray[Any] | None = None,
    threads: int | None = None,
    damage: Literal["raise", "keep"] = "raise",
    errors: Literal["return"],
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> tuple[npt.NDArray[Any], list[BatchError | None]]: ...
@overload
def read_batch(
    images: Iterable[Source],
    *,
    size: tuple[int, int],
    boxes: Sequence[Box | Window] | npt.NDArray[np.integer[Any]] | None = None,
    flips: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
    filter: Filter = "bilinear",
    antialias: bool = True,
    chroma: Chroma | None = None,
    apply_orientation: bool = False,
    format: TensorFormat | None = None,
    out: Tensor,
    threads: int | None = None,
    damage: Literal["raise", "keep"] = "raise",
    errors: Literal["raise"] = "raise",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Tensor: ...
@overload
def read_batch(
    images: Iterable[Source],
    *,
    size: tuple[int, int],
    boxes: Sequence[Box | Window] | npt.NDArray[np.integer[Any]] | None = None,
    flips: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
    filter: Filter = "bilinear",
    antialias: bool = True,
    chroma: Chroma | None = None,
    apply_orientation: bool = False,
    format: TensorFormat | None = None,
    out: Tensor,
    threads: int | None = None,
    damage: Literal["raise", "keep"] = "raise",
    errors: Literal["return"],
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> tuple[Tensor, list[BatchError | None]]: ...
def read_batch(
    images: Iterable[Source],
    *,
    size: tuple[int, int],
    boxes: Sequence[Box | Window] | npt.NDArray[np.integer[Any]] | None = None,
    flips: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
    filter: Filter = "bilinear",
    antialias: bool = True,
    chroma: Chroma | None = None,
    apply_orientation: bool = False,
    format: TensorFormat | None = None,
    out: npt.NDArray[Any] | TorchTensor | None = None,
    threads: int | None = None,
    damage: Literal["raise", "keep"] = "raise",
    errors: Literal["raise", "return"] = "raise",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Any:
    """Read JPEGs into one batch tensor in native threads, each image from its bytes straight to its slot.

    Each slot holds what `resample` returns for its image. In a sequential file with one scan, only the rows down to the
    bottom of the box are decoded, so that damage below the box goes unnoticed. If such a file has restart markers, the
    restart intervals that hold nothing of the box are not decoded either; of these, only the order of their markers is
    checked, and if it is wrong, everything down to the box's bottom is decoded. An image's coefficients are freed as
    soon as its slot is filled.

    Args:
        images: JPEG files, each bytes or a path as for `read_coefficients`. The threads read the paths.
        size: (height, width) of every resized box and of every window in pixels, as for `resample`.
        boxes: one (top, left, height, width) or Window per image, as for `resample`; None for whole images.
        flips: one bool per image: whether to mirror it left to right; None to mirror no image.
        filter: "bilinear", "bicubic" or "box".
        antialias: widen the filter where a box is reduced.
        chroma: "fancy", "replicate" or "direct"; None for the chroma mode of the format.
        apply_orientation: turn each image upright first; its box then refers to the upright image.
        format: channels, layout, dtype and statistics; default TensorFormat().
        out: the NumPy array, or the torch tensor on the CPU, to write to: contiguous, with the dtype of the format and
            the shape of the result. A pinned tensor is one, and where the format's dtype is float32, so is a tensor of
            bfloat16: it gets the values of float32, rounded to nearest even.
        threads: how many threads work; None for one per usable core.
        damage: "raise" makes a damaged image an error, "keep" uses what can be decoded of it.
        errors: "raise" raises the first error in the order of `images`, and its `.index` tells which image it is;
            "return" returns all errors, so that one bad file never spoils the rest.
        max_pixels: the most pixels an image may have.

    Returns:
        `out`, or a new NumPy array: [N, C, height / 8, width / 8], rounded up, or [N, .., .., C] for layout "HWC". With
        `errors="return"`, a pair: the array, in which the slots of failed images are zero, and a list with None or the
        error of each image. With `damage="keep"` the list also holds the error of a damaged image, although its slot
        holds what could be decoded.

    Raises:
        JpegError: as for `read_coefficients` and `resample`, with `errors="raise"`.
        OSError: a path cannot be read, with `errors="raise"`.
        ValueError: a box is empty or not inside its image, with `errors="raise"`; for both values of
            `errors`, a window is not inside the resized image, or `boxes`, `flips` or `out` do not fit.
        TypeError: an argument has the wrong type, or an image is neither contiguous bytes nor a path.

    >>> read_batch([gray_16x8, gray_16x8], size=(8, 8), boxes=[(0, 0, 8, 8), (0, 8, 8, 8)]).shape
    (2, 192, 1, 1)
    """
    format = TensorFormat.of(format)
    sources = image_list(images)
    size = _output_size(size)
    shape = (len(sources), *format.shape(*size))
    if out is None:
        out = empty(shape, format.numpy_dtype)
    else:
        check_out(out, shape, format.numpy_dtype)
    found = _native.read_batch(
        sources,
        size,
        None if boxes is None else _regions(boxes, len(sources), size),
        None if flips is None else _flips(flips, len(sources)),
        check_flag("apply_orientation", apply_orientation),
        _filter_number(filter),
        check_flag("antialias", antialias),
        _chroma_number(chroma, format),
        *format.affine,
        format.layout == "HWC",
        out,
        _thread_count(threads),
        _keep_damage(damage),
        _return_errors(errors),
        _pixel_limit(max_pixels),
    )
    return out if errors == "raise" else (out, found)


def _regions(boxes: Any, count: int, size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return boxes and windows as the native code takes them: int64 [N, 6]."""
    if isinstance(boxes, Sequence) and any(isinstance(box, Window) for box in boxes):
        with_windows = []
        for index, box in enumerate(boxes):
            try:
                with_windows.append(region_of(box, size))
            except (ValueError, TypeError) as error:
                raise type(error)(f"image {index}: {error}") from None
        return _one_each(np.array(with_windows, np.int64), (count, 6), "boxes", "a box or a Window")
    values = _array("boxes", boxes)
    if values.size and values.dtype.kind not in "iu":
        raise ValueError(f"boxes must be whole numbers of pixels, not {values.dtype}")
    entry = "a box (top, left, height, width)"
    values = _one_each(values.astype(np.int64).reshape(values.shape if count else (0, 4)), (count, 4), "boxes", entry)
    regions = np.zeros((count, 6), np.int64)  # no window
    regions[:, :4] = values
    return regions


def _flips(flips: Any, count: int) -> npt.NDArray[np.uint8]:
    values = _array("flips", flips)
    if values.size and values.dtype != np.bool_:
        raise TypeError(f"flips must be True or False for each image, not {values.dtype}")
    return _one_each(values.astype(np.bool_), (count,), "flips", "True or False").view(np.uint8)


def _array(name: str, values: Any) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must have one entry per image, all of the same shape") from error


def _one_each(values: npt.NDArray[Any], shape: tuple[int, ...], name: str, entry: str) -> npt.NDArray[Any]:
    if values.shape != shape:
        raise ValueError(f"{name} must have one entry per image, {entry}: shape {shape}, not {values.shape}")
    return np.ascontiguousarray(values)


def _return_errors(errors: str) -> bool:
    check_choice("errors", errors, ("raise", "return"))
    return errors == "return"


def _thread_count(threads: int | None) -> int:
    return usable_cores() if threads is None else whole_number("threads", threads, least=1, most=_MOST_THREADS)


def usable_cores() -> int:
    """Return how many cores this process may use, which is the default of `threads`."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
