"""The 8 x 8 block DCT as a matrix."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["dct_matrix"]


@cache
def dct_matrix() -> npt.NDArray[np.float64]:
    """Return D[u, x] of T.81 A.3.3, read-only: coefficients = D @ samples @ D.T, and samples = D.T @ coefficients @ D.

    >>> bool(np.allclose(dct_matrix() @ dct_matrix().T, np.eye(8)))
    True
    """
    u, x = np.mgrid[0:8, 0:8]
    matrix: npt.NDArray[np.float64] = np.where(u == 0, np.sqrt(1 / 8), 0.5) * np.cos((2 * x + 1) * u * np.pi / 16)
    matrix.flags.writeable = False
    return matrix
