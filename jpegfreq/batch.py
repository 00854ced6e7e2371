"""Many images at once, in native threads."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

from jpegfreq import _native
from jpegfreq._resample import _chroma_number, _filter_number, _tensor_shape
from jpegfreq.assembly.checks import check_out
from jpegfreq.coefficients import DEFAULT_MAX_PIXELS, _keep_damage
from jpegfreq.format import TensorFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from jpegfreq._resample import Chroma, Filter
    from jpegfreq.coefficients import Coefficients
    from jpegfreq.crops import Box
    from jpegfreq.errors import JpegError
    from jpegfreq.header import Source

    BatchError: TypeAlias = JpegError | ValueError | OSError | MemoryError

__all__ = ["read_batch", "read_coefficients_batch"]


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
    """Entropy-decode many JPEGs in native threads, several interleaved a core: `read_coefficients` of each.

    Args:
        images: JPEG files, bytes and paths as for `read_coefficients`, mixed as you like. The threads read the paths.
        threads: how many threads decode; None for one a usable core.
        damage: "raise" makes a damaged image an error, "keep" returns what was decoded of it.
        errors: "raise" raises the first error in the order of `images`, its place in `.index`; "return" puts each
            error in its image's place, so that one bad file never spoils the rest.
        max_pixels: the limit of each image.

    Returns:
        A Coefficients for each image, in the order of `images`.

    Raises:
        JpegError: as `read_coefficients`, with `errors="raise"`.
        OSError: a path cannot be read, with `errors="raise"`.
        TypeError: an image is neither contiguous bytes nor a path, whatever `errors` says.

    >>> [c.header.width for c in read_coefficients_batch([gray_16x8, gray_16x8])]
    [16, 16]
    """
    return _native.read_coefficients_batch(
        list(images), _thread_count(threads), _keep_damage(damage), _return_errors(errors), max_pixels
    )


@overload
def read_batch(
    images: Iterable[Source],
    *,
    size: tuple[int, int],
    boxes: Sequence[Box] | npt.NDArray[np.integer[Any]] | None = None,
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
    boxes: Sequence[Box] | npt.NDArray[np.integer[Any]] | None = None,
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
def read_batch(
    images: Iterable[Source],
    *,
    size: tuple[int, int],
    boxes: Sequence[Box] | npt.NDArray[np.integer[Any]] | None = None,
    flips: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
    filter: Filter = "bilinear",
    antialias: bool = True,
    chroma: Chroma | None = None,
    apply_orientation: bool = False,
    format: TensorFormat | None = None,
    out: npt.NDArray[Any] | None = None,
    threads: int | None = None,
    damage: Literal["raise", "keep"] = "raise",
    errors: Literal["raise", "return"] = "raise",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> npt.NDArray[Any] | tuple[npt.NDArray[Any], list[BatchError | None]]:
    """JPEGs to one batch tensor, in native threads: `resample` of each, straight from its bytes to its slot.

    Of a sequential file with one scan, only the rows down to the bottom of its box are decoded: damage below is not
    noticed. Coefficients live as long as their image is in work.

    Args:
        images: JPEG files, bytes and paths as for `read_coefficients`, mixed as you like. The threads read the paths.
        size: (height, width) of every resized box in pixels, multiples of 8.
        boxes: one (top, left, height, width) an image, as for `resample`; None for whole images.
        flips: whether to mirror each image left to right; None for no image.
        filter: "bilinear", "bicubic" or "box".
        antialias: widen the filter where a box shrinks.
        chroma: "fancy", "replicate" or "direct"; None for the format's.
        apply_orientation: turn each image upright first; its box is one of the upright image.
        format: channels, layout, dtype and statistics; default TensorFormat().
        out: where to write: C-contiguous, of the format's dtype and the result's shape; a pinned torch tensor's
            `.numpy()`, for instance.
        threads: how many threads work; None for one a usable core.
        damage: "raise" makes a damaged image an error, "keep" takes what was decoded of it.
        errors: "raise" raises the first error in the order of `images`, its place in `.index`; "return" returns them
            all, so that one bad file never spoils the rest.
        max_pixels: the limit of each image.

    Returns:
        `out`, or a new array: [N, C, height / 8, width / 8], or [N, .., .., C] for layout "HWC". With
        `errors="return"`, a pair: the array, in which the slots of failed images are zero, and a list with None or the
        error of each image. With `damage="keep"` the list holds the error of a damaged image too, though its slot holds
        what was decoded.

    Raises:
        JpegError: as `read_coefficients` and `resample`, with `errors="raise"`.
        OSError: a path cannot be read, with `errors="raise"`.
        ValueError: a box is empty or not inside its image, with `errors="raise"`; the size is not a multiple of 8, or
            `boxes`, `flips` or `out` do not fit, whatever `errors` says.
        TypeError: an image is neither contiguous bytes nor a path, or `out` no NumPy array, whatever `errors` says.

    >>> read_batch([gray_16x8, gray_16x8], size=(8, 8), boxes=[(0, 0, 8, 8), (0, 8, 8, 8)]).shape
    (2, 192, 1, 1)
    """
    format = _DEFAULT if format is None else format
    sources = list(images)
    shape = (len(sources), *_tensor_shape(size, format))
    if out is None:
        out = aligned_empty(shape, format.numpy_dtype)
    else:
        check_out(out, shape, format.numpy_dtype)
    found = _native.read_batch(
        sources,
        None if boxes is None else _boxes(boxes, len(sources)),
        None if flips is None else _one_each(np.asarray(flips, np.bool_), (len(sources),), "flips").view(np.uint8),
        apply_orientation,
        _filter_number(filter),
        antialias,
        _chroma_number(chroma, format),
        *format.affine,
        format.layout == "HWC",
        out,
        _thread_count(threads),
        _keep_damage(damage),
        _return_errors(errors),
        max_pixels,
    )
    return out if errors == "raise" else (out, found)


_DEFAULT = TensorFormat()


def _boxes(boxes: Any, count: int) -> npt.NDArray[Any]:
    values = np.asarray(boxes)
    if values.size and values.dtype.kind not in "iu":
        raise ValueError(f"boxes must be whole numbers of pixels, not {values.dtype}")
    return _one_each(values.astype(np.int64).reshape(values.shape if count else (0, 4)), (count, 4), "boxes")


def _one_each(values: npt.NDArray[Any], shape: tuple[int, ...], name: str) -> npt.NDArray[Any]:
    if values.shape != shape:
        raise ValueError(f"{name} must have one entry an image, shape {shape}, not {values.shape}")
    return np.ascontiguousarray(values)


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An array on a cache line's boundary: stores that go past the caches need it."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def _return_errors(errors: str) -> bool:
    if errors not in ("raise", "return"):
        raise ValueError(f'errors must be "raise" or "return", not {errors!r}')
    return errors == "return"


def _thread_count(threads: int | None) -> int:
    if threads is None:
        return usable_cores()
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    return threads


def usable_cores() -> int:
    """How many cores this process may use: the default of `threads`."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
