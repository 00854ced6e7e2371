"""Numba kernels for components that are on the full grid already, with all 64 frequencies, in float32: no tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jpegfreq.assembly.lanes import COLUMNS, fetch, fetch_to_write, kernel, move_8x8

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Integers = npt.NDArray[np.int64]


@kernel()
def move(blocks: Integers, count: int, factors: Floats, where: Integers, affine: Floats, out: Floats) -> None:
    """What _kernels.place() does, for CHW.

    Args:
        blocks: int64 [count * 16], four quantized coefficients a word.
        count: blocks, 8 or more.
        factors: float32 [64], the quantization table.
        where: int64 [2, 64]: frequency where[0, i] goes to channel where[1, i].
        affine: float32 [2, 64]: ... as value * affine[0, i] + affine[1, i].
        out: float32, the whole tensor, flat.
    """
    places = np.empty(64, np.int64)
    scales, shifts = np.empty(64, np.float32), np.empty(64, np.float32)
    for n in range(where.shape[1]):
        k = where[0, n]
        places[k] = where[1, n] * count
        scales[k] = factors[k] * affine[0, n]
        shifts[k] = affine[1, n]
    for begin in range(0, count, COLUMNS):
        end = min(begin + COLUMNS, count)
        for v in range(8):
            for step in range(begin, end, 8):
                x = min(step, count - 8)
                # Note [Fetching ahead] in _kernels.py
                ahead = (begin + COLUMNS) * 16 + (v * COLUMNS + step - begin) * 2
                fetch(blocks, ahead)
                fetch(blocks, ahead + 8)
                for u in range((step & 8) // 2, (step & 8) // 2 + 4):
                    fetch_to_write(out, places[(8 * v + 8 + u) & 63] + x)
                move_8x8(blocks, x * 16 + 2 * v, scales, shifts, places, v, out, x)


@kernel()
def move_last(blocks: Integers, factors: Floats, affine: Floats, slot: int, channels: int, out: Floats) -> None:
    """What _kernels.place() does, for HWC and frequencies in raster order: a block is 64 values side by side.

    Args:
        blocks: int64 [count * 16], four quantized coefficients a word.
        factors: float32 [64], the quantization table.
        affine: float32 [2, 64]: frequency k goes to channel slot + k as value * affine[0, k] + affine[1, k].
        slot: the first of the component's channels.
        channels: of the tensor.
        out: float32, the whole tensor, flat.
    """
    coefficients = blocks.view(np.int16)
    scales, shifts = factors * affine[0], affine[1]
    for block in range(coefficients.size // 64):
        source = coefficients[block * 64 : block * 64 + 64]
        target = out[block * channels + slot : block * channels + slot + 64]
        for k in range(64):
            target[k] = np.float32(source[k]) * scales[k] + shifts[k]
