"""Memory of large new arrays: pooled and in huge pages, so that writing them does not fault page by page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from jpegfreq import _native

__all__ = ["empty"]

# Smaller arrays stay in the memory that the C library keeps anyway.
_LEAST_POOLED_BYTES = 256 << 10


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return a new array with any values, on the boundary of a cache line if it is large.

    >>> empty((3, 4), np.dtype(np.float32)).shape
    (3, 4)
    """
    size = math.prod(shape) * dtype.itemsize
    if size < _LEAST_POOLED_BYTES:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, memoryview(_native.allocate(size)))
