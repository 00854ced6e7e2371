"""Exact operators on planes of 8 x 8 DCT blocks.

A plane is an array [..., blocks_high, blocks_wide, 8, 8] of quantized or dequantized coefficients; its last two axes
are vertical and horizontal frequency. Each operator returns the coefficients of what its pixel counterpart returns.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from jpegfreq._arguments import check_choice, whole_number
from jpegfreq._dct import dct_matrix

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["double_blocks", "flip_horizontal", "flip_vertical", "rotate", "transpose"]

_Number = TypeVar("_Number", bound=np.generic)

# Mirroring a block changes the sign of its odd frequencies.
_MIRROR = np.array([1, -1, 1, -1, 1, -1, 1, -1], np.int8)


def flip_horizontal(plane: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Mirror a plane left to right.

    Args:
        plane: [..., blocks_high, blocks_wide, 8, 8], signed. The samples that pad the last blocks move to the left.

    Returns:
        A new array of the same shape and type.

    >>> flip_horizontal(np.arange(64).reshape(1, 1, 8, 8))[0, 0, 0].tolist()
    [0, -1, 2, -3, 4, -5, 6, -7]
    """
    _check_plane(plane, signed=True)
    mirrored: npt.NDArray[_Number] = np.multiply(plane[..., ::-1, :, :], _MIRROR, dtype=plane.dtype)
    return mirrored


def flip_vertical(plane: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Mirror a plane top to bottom, otherwise like `flip_horizontal`.

    >>> flip_vertical(np.arange(64).reshape(1, 1, 8, 8))[0, 0, :, 0].tolist()
    [0, -8, 16, -24, 32, -40, 48, -56]
    """
    _check_plane(plane, signed=True)
    mirrored: npt.NDArray[_Number] = np.multiply(plane[..., ::-1, :, :, :], _MIRROR[:, None], dtype=plane.dtype)
    return mirrored


def transpose(plane: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Exchange the rows and columns of a plane.

    Args:
        plane: [..., blocks_high, blocks_wide, 8, 8].

    Returns:
        A new array [..., blocks_wide, blocks_high, 8, 8].

    >>> transpose(np.arange(64).reshape(1, 1, 8, 8))[0, 0, 0].tolist()
    [0, 8, 16, 24, 32, 40, 48, 56]
    """
    _check_plane(plane)
    return np.ascontiguousarray(plane.swapaxes(-4, -3).swapaxes(-2, -1))


def rotate(plane: npt.NDArray[_Number], quarter_turns: int) -> npt.NDArray[_Number]:
    """Turn a plane clockwise.

    Args:
        plane: [..., blocks_high, blocks_wide, 8, 8], signed.
        quarter_turns: how many turns of 90 degrees; negative numbers turn it the other way.

    Returns:
        A new array; its sides are exchanged if the number of turns is odd.

    >>> rotate(np.zeros((2, 3, 8, 8)), 1).shape
    (3, 2, 8, 8)
    """
    _check_plane(plane, signed=True)
    match whole_number("quarter_turns", quarter_turns) % 4:
        case 1:
            return flip_horizontal(transpose(plane))
        case 2:
            return flip_vertical(flip_horizontal(plane))
        case 3:
            return flip_vertical(transpose(plane))
    return plane.copy()


def _check_plane(plane: npt.NDArray[Any], *, signed: bool = False) -> None:
    if not isinstance(plane, np.ndarray):
        raise TypeError(
            f"plane must be a NumPy array [..., blocks_high, blocks_wide, 8, 8], not {type(plane).__name__}"
        )
    if plane.ndim < 4 or plane.shape[-2:] != (8, 8):
        raise ValueError(f"plane must have the shape [..., blocks_high, blocks_wide, 8, 8], not {plane.shape}")
    if signed and plane.dtype.kind not in "if":
        raise TypeError(f"plane must hold signed numbers, not {plane.dtype}")


def double_blocks(
    plane: npt.NDArray[Any],
    axis: Literal["vertical", "horizontal"],
    *,
    samples: int | None = None,
    method: Literal["fancy", "replicate"] = "fancy",
) -> npt.NDArray[np.float32]:
    """Enlarge a plane twofold along one axis, as h2v1 upsampling does; once along each axis is h2v2 upsampling.

    Args:
        plane: dequantized coefficients [..., blocks_high, blocks_wide, 8, 8].
        axis: the axis to enlarge.
        samples: how many samples along the axis belong to the image; None for all. After the last of them, the plane is
            assumed to repeat it, because T.81 leaves open what the rest of a block holds.
        method: "fancy" for libjpeg's triangle filter (3/4 of the nearest sample, 1/4 of the next one), "replicate" for
            each sample twice.

    Returns:
        float32, twice as many blocks along the axis.

    >>> double_blocks(np.full((1, 1, 8, 8), 8.0), "horizontal", method="replicate").shape
    (1, 2, 8, 8)
    """
    check_choice("axis", axis, ("vertical", "horizontal"))
    check_choice("method", method, ("fancy", "replicate"))
    _check_plane(plane)
    blocks = np.asarray(plane, np.float32)
    if axis == "vertical":
        return transpose(double_blocks(transpose(blocks), "horizontal", samples=samples, method=method))
    count = blocks.shape[-3]
    samples = 8 * count if samples is None else whole_number("samples", samples)
    if not 8 * (count - 1) < samples <= 8 * count:
        raise ValueError(f"samples must be from {8 * count - 7} to {8 * count} for {count} blocks, not {samples}")
    out = np.empty((*blocks.shape[:-3], 2 * count, 8, 8), np.float32)
    for begin, end in sorted({(0, 1), (1, count - 1), (count - 1, count)}):
        if begin >= end:
            continue
        lead, tail = min(begin, 1), min(count - end, 1)
        operator = _doubling(method, lead, tail, 8 if tail else samples - 8 * (count - 1))
        parts = [blocks[..., begin - 1 : end - 1, :, :]] if lead else []
        parts.append(blocks[..., begin:end, :, :])
        if tail:
            parts.append(blocks[..., begin + 1 : end + 1, :, :])
        doubled = np.concatenate(parts, axis=-1) @ operator  # [..., 8, 16]
        out[..., 2 * begin : 2 * end : 2, :, :] = doubled[..., :8]
        out[..., 2 * begin + 1 : 2 * end : 2, :, :] = doubled[..., 8:]
    return out


@cache
def _doubling(method: str, lead: int, tail: int, last: int) -> npt.NDArray[np.float32]:
    """Return the matrix float32 [8 * (lead + 1 + tail), 16] from a block and its neighbours to its two halves.

    Args:
        method: "fancy" or "replicate".
        lead: 1 if there is a block before, else 0.
        tail: 1 if there is a block after, else 0.
        last: how many samples of the last block belong to the image; the last sample is repeated after them.
    """
    blocks = lead + 1 + tail
    limit = 8 * (lead + tail) + last - 1
    enlarge = np.zeros((16, 8 * blocks))
    for x in range(16):
        nearest = 8 * lead + x // 2
        other = nearest + (1 if x % 2 else -1)
        share = 0.25 if method == "fancy" else 0.0
        enlarge[x, np.clip(nearest, 0, limit)] += 1 - share
        enlarge[x, np.clip(other, 0, limit)] += share
    dct = dct_matrix()
    operator = np.kron(np.eye(2), dct) @ enlarge @ np.kron(np.eye(blocks), dct).T
    return operator.T.astype(np.float32)
