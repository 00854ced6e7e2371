"""Many images at once, in native threads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, overload

from jpegfreq import _native
from jpegfreq.coefficients import DEFAULT_MAX_PIXELS, _keep_damage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jpegfreq.coefficients import Coefficients
    from jpegfreq.errors import JpegError
    from jpegfreq.header import Source

__all__ = ["read_coefficients_batch"]


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
    if errors not in ("raise", "return"):
        raise ValueError(f'errors must be "raise" or "return", not {errors!r}')
    if threads is None:
        threads = _usable_cores()
    elif threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    return _native.read_coefficients_batch(list(images), threads, _keep_damage(damage), errors == "return", max_pixels)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
