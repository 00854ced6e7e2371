"""The quantization tables of T.81 Annex K, and how libjpeg scales them to a quality."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["tables_of_quality"]

_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = np.full((8, 8), 99)
_CHROMA[:4, :4] = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))
_STANDARD = np.array((_LUMA, _CHROMA))  # tables K.1 and K.2, [v, u]


def tables_of_quality(quality: int) -> npt.NDArray[np.uint16]:
    """Scale tables K.1 and K.2 as libjpeg does.

    Args:
        quality: 1 to 100.

    Returns:
        The tables of luma and chroma: uint16 [2, 8, 8], in natural order [v, u].

    >>> tables_of_quality(50)[:, 0, 0].tolist()
    [16, 17]
    """
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    tables: npt.NDArray[np.uint16] = np.clip((_STANDARD * percent + 50) // 100, 1, 255).astype(np.uint16)
    return tables
