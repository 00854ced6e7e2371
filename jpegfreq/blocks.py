"""Exact operators on planes of 8 x 8 DCT blocks: flips, transpose, rotations, twofold enlargement.

A plane is an array [..., blocks_high, blocks_wide, 8, 8], the last two axes vertical and horizontal frequency, of
quantized or dequantized coefficients. Each operator gives the coefficients of what its pixel counterpart makes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from jpegfreq._dct import dct_matrix
from jpegfreq.coefficients import Coefficients
from jpegfreq.header import Upright

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["double_blocks", "flip_horizontal", "flip_vertical", "rotate", "transpose", "upright"]

_Number = TypeVar("_Number", bound=np.generic)

# The DCT of a mirrored block: odd frequencies change their sign.
_MIRROR = np.array([1, -1, 1, -1, 1, -1, 1, -1], np.int8)


def flip_horizontal(plane: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Mirror a plane left to right.

    Args:
        plane: [..., blocks_high, blocks_wide, 8, 8], signed. The samples that fill the last blocks up go to the left.

    Returns:
        A new array of the same shape and type.

    >>> flip_horizontal(np.arange(64).reshape(1, 1, 8, 8))[0, 0, 0].tolist()
    [0, -1, 2, -3, 4, -5, 6, -7]
    """
    mirrored: npt.NDArray[_Number] = np.multiply(plane[..., ::-1, :, :], _MIRROR, dtype=plane.dtype)
    return mirrored


def flip_vertical(plane: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Mirror a plane top to bottom; as `flip_horizontal`.

    >>> flip_vertical(np.arange(64).reshape(1, 1, 8, 8))[0, 0, :, 0].tolist()
    [0, -8, 16, -24, 32, -40, 48, -56]
    """
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
    return np.ascontiguousarray(plane.swapaxes(-4, -3).swapaxes(-2, -1))


def rotate(plane: npt.NDArray[_Number], quarter_turns: int) -> npt.NDArray[_Number]:
    """Turn a plane clockwise.

    Args:
        plane: [..., blocks_high, blocks_wide, 8, 8], signed.
        quarter_turns: how many turns of 90 degrees; negative ones go the other way.

    Returns:
        A new array; sides exchanged where the turns are odd.

    >>> rotate(np.zeros((2, 3, 8, 8)), 1).shape
    (3, 2, 8, 8)
    """
    match quarter_turns % 4:
        case 1:
            return flip_horizontal(transpose(plane))
        case 2:
            return flip_vertical(flip_horizontal(plane))
        case 3:
            return flip_vertical(transpose(plane))
    return plane.copy()


def upright(coefficients: Coefficients) -> Coefficients:
    """Turn an image as its EXIF orientation asks, without loss.

    Args:
        coefficients: as `read_coefficients` gives them.

    Returns:
        Coefficients of the upright image, with orientation 1; the argument itself where it is upright already.

    Raises:
        ValueError: a side that has to be mirrored does not end with a whole MCU, so that the mirrored image would not
            begin with one. `resample` with `apply_orientation=True` turns any image.
    """
    header = coefficients.header
    if header.orientation == 1:
        return coefficients
    turn = Upright.of(header.orientation)
    planes, components = list(coefficients.planes), list(header.components)
    height, width = header.upright_size
    if turn.transpose:
        planes = [transpose(plane) for plane in planes]
        components = [
            replace(
                component,
                horizontal_sampling_factor=component.vertical_sampling_factor,
                vertical_sampling_factor=component.horizontal_sampling_factor,
                blocks_high=component.blocks_wide,
                blocks_wide=component.blocks_high,
            )
            for component in components
        ]
    if turn.mirror_columns:
        _require_whole_mcus(width, max(component.horizontal_sampling_factor for component in components), "columns")
        planes = [flip_horizontal(plane) for plane in planes]
    if turn.mirror_rows:
        _require_whole_mcus(height, max(component.vertical_sampling_factor for component in components), "rows")
        planes = [flip_vertical(plane) for plane in planes]
    tables = coefficients.quantization_tables
    return Coefficients(
        header=replace(header, height=height, width=width, components=tuple(components), orientation=1),
        planes=tuple(planes),
        quantization_tables=tuple(np.ascontiguousarray(table.T) for table in tables) if turn.transpose else tables,
        damages=coefficients.damages,
    )


def _require_whole_mcus(size: int, factor: int, what: str) -> None:
    if size % (8 * factor) != 0:
        raise ValueError(f"cannot mirror {size} {what} without loss: not a multiple of {8 * factor}, the MCU's size")


def double_blocks(
    plane: npt.NDArray[Any],
    axis: Literal["vertical", "horizontal"],
    *,
    samples: int | None = None,
    method: Literal["fancy", "replicate"] = "fancy",
) -> npt.NDArray[np.float32]:
    """Enlarge a plane twofold along one axis: h2v1 upsampling; along both axes, one after the other, h2v2.

    Args:
        plane: dequantized coefficients [..., blocks_high, blocks_wide, 8, 8].
        axis: along which to enlarge.
        samples: how many samples of the axis belong to the image; None for all. Behind the last one the plane is taken
            to repeat it (T.81 leaves open what the rest of a block holds).
        method: "fancy" for libjpeg's triangle filter (3/4 of the nearest sample, 1/4 of the next one), "replicate" for
            each sample twice.

    Returns:
        float32, twice as many blocks along the axis.

    >>> double_blocks(np.full((1, 1, 8, 8), 8.0), "horizontal", method="replicate").shape
    (1, 2, 8, 8)
    """
    if axis not in ("vertical", "horizontal"):
        raise ValueError(f'axis must be "vertical" or "horizontal", not {axis!r}')
    if method not in ("fancy", "replicate"):
        raise ValueError(f'method must be "fancy" or "replicate", not {method!r}')
    blocks = np.asarray(plane, np.float32)
    if axis == "vertical":
        return transpose(double_blocks(transpose(blocks), "horizontal", samples=samples, method=method))
    count = blocks.shape[-3]
    samples = 8 * count if samples is None else samples
    if not 8 * (count - 1) < samples <= 8 * count:
        raise ValueError(f"{samples} samples do not end in the last of {count} blocks")
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
    """float32 [8 * (lead + 1 + tail), 16]: coefficients of a block and its neighbours to those of its two halves.

    Samples run from the neighbour's first (where there is one before) to number `last` - 1 of the block (or of the
    neighbour's eighth, where there is one behind); outside, they repeat.
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
