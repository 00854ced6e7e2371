"""Numba kernels for the less usual ways to the full grid: any ratio of sampling factors, or an enlarged block grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jpegfreq.assembly.kernels import emit
from jpegfreq.assembly.lanes import COLUMNS, STRIDE, kernel

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Integers = npt.NDArray[np.int64]
    Shorts = npt.NDArray[np.int16]
    Halves = npt.NDArray[np.uint16]


@kernel()
def place_plane(
    plane: Floats,
    where: Integers,
    affine: Floats,
    out: Floats,
    half: Halves,
    rows_first: bool,
    grid_high: int,
    grid_wide: int,
    channels: int,
) -> None:
    """Put a component on the grid that is dequantized and enlarged already: float32 [grid_high, grid_wide, 64]."""
    tile = np.zeros(64 * STRIDE, np.float32)
    for y in range(grid_high):
        for x0 in range(0, grid_wide, COLUMNS):
            columns = min(COLUMNS, grid_wide - x0)
            for k in where[0]:
                for x in range(columns):
                    tile[k * STRIDE + x] = plane[y, x0 + x, k]
            emit(tile, 0, columns, where, affine, out, half, rows_first, y, x0, grid_high, grid_wide, channels)


@kernel()
def enlarge_grid(
    plane: Shorts,
    rows: Integers,
    row_weights: Floats,
    columns: Integers,
    column_weights: Floats,
    factors: Floats,
    out: Floats,
) -> None:
    """Interpolate between whole blocks: out[y, x] is the mean of blocks rows[:, y] x columns[:, x], weighted.

    Args:
        plane: int16 [blocks_high, blocks_wide, 64].
        rows: int64 [2, grid_high].
        row_weights: float32 [2, grid_high].
        columns: int64 [2, grid_wide].
        column_weights: float32 [2, grid_wide].
        factors: float32 [64], the quantization table.
        out: float32 [grid_high, grid_wide, 64].
    """
    for y in range(out.shape[0]):
        top, bottom = plane[rows[0, y]], plane[rows[1, y]]
        for x in range(out.shape[1]):
            a, b = top[columns[0, x]], top[columns[1, x]]
            c, d = bottom[columns[0, x]], bottom[columns[1, x]]
            upper, lower = row_weights[0, y], row_weights[1, y]
            left, right = column_weights[0, x], column_weights[1, x]
            target = out[y, x]
            for k in range(64):
                value = upper * (left * a[k] + right * b[k]) + lower * (left * c[k] + right * d[k])
                target[k] = value * factors[k]


@kernel()
def enlarge_blocks(
    plane: Shorts, rows: Integers, down: Floats, columns: Integers, across: Floats, factors: Floats, out: Floats
) -> None:
    """Upsample by any ratio: every output block from `span` blocks each way, by one matrix an axis and block.

    Args:
        plane: int16 [blocks_high, blocks_wide, 64].
        rows: int64 [grid_high], the first row of blocks that each output row is made of.
        down: float32 [grid_high, 8, 8 * span].
        columns: int64 [grid_wide].
        across: float32 [grid_wide, 8, 8 * span].
        factors: float32 [64], the quantization table.
        out: float32 [grid_high, grid_wide, 64].
    """
    blocks_wide = plane.shape[1]
    strip = np.empty((8, blocks_wide * 8), np.float32)
    for y in range(out.shape[0]):
        strip[:] = 0
        for n in range(down.shape[2]):
            v = n % 8
            for x in range(blocks_wide):
                line = plane[rows[y] + n // 8, x]
                for i in range(8):
                    weight = down[y, i, n]
                    for u in range(8):
                        strip[i, x * 8 + u] += weight * (np.float32(line[8 * v + u]) * factors[8 * v + u])
        for x in range(out.shape[1]):
            start = columns[x] * 8
            for v in range(8):
                for i in range(8):
                    total = np.float32(0)
                    for n in range(across.shape[2]):
                        total += across[x, i, n] * strip[v, start + n]
                    out[y, x, 8 * v + i] = total
