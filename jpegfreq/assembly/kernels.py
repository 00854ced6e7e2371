"""Numba kernels of `to_frequency_tensor`: quantized blocks in, upsampled, rows of the tensor out.

Note [Tiles]
A tile is one row of blocks of one component, at most COLUMNS block columns of it, as float32 with one line a frequency:
tile[k * STRIDE + x] is frequency k = 8 * v + u of block column x. Along a line neighbouring blocks lie side by side, so
chroma upsampling is plain arithmetic on whole lines and CHW output is a copy. STRIDE is a compile-time constant, which
lets LLVM see that the lines of a tile do not overlap, and is no power of two, so that lines do not share cache sets.

Note [Twofold upsampling]
A block X and its neighbours, upsampled twofold along an axis, give two blocks, left L and right R:

    L = A X + edge * last(previous)        R = F A F X + F edge * first(next)        F = diag(1, -1, 1, -1, ...)

`first` and `last` are the first and the last sample of a block along the axis. Only those two samples of the neighbours
reach across, so their part has rank one; and R is L mirrored, so that with A = E + O, split by the parity of
row + column, F A F = E - O: both halves cost one product by A.

Note [Reach]
Chroma seldom has coefficients with u >= 4 or v >= 4. Each group of 8 block columns of a row notes whether it has
(`reach`, bit 0 for u, bit 1 for v), and where it has none, half of each product is left out. Nothing is approximated.

Note [Fetching ahead]
Coefficients are read, and channels of CHW written, in many short strides, which the hardware's prefetcher does not
follow. So each step asks for its share of the blocks that come next, two cache lines a step, and for the places in
`out` that a later step writes. What lies behind the arrays' ends may be asked for; it is not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jpegfreq.assembly.lanes import (
    COLUMNS,
    STRIDE,
    double_across_narrow,
    double_across_wide,
    double_down_narrow,
    double_down_wide,
    double_ending_narrow,
    double_ending_wide,
    ends_across_narrow,
    ends_across_wide,
    ends_down_narrow,
    ends_down_wide,
    fetch,
    fetch_to_write,
    kernel,
    load_8x8,
    multiply_add,
    store_8,
    store_8x8,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Integers = npt.NDArray[np.int64]
    Halves = npt.NDArray[np.uint16]
    Flags = npt.NDArray[np.bool_]


@kernel(forceinline=True)
def _to_half(value: np.float32) -> np.uint16:
    """IEEE binary16 bits, rounded to nearest even; what does not fit becomes the largest finite value, 65504."""
    value = min(max(value, np.float32(-65504.0)), np.float32(65504.0))
    bits = np.int64(np.float32(value).view(np.uint32))
    sign = (bits >> 16) & 0x8000
    magnitude = bits & 0x7FFFFFFF
    if magnitude < 0x38800000:  # below 2 ** -14: subnormal, one step is 2 ** -24, which adding 0.5 rounds to
        rounded = np.float32(abs(value) + np.float32(0.5)).view(np.uint32)
        return np.uint16(sign | (np.int64(rounded) - 0x3F000000))
    return np.uint16(sign | ((magnitude + 0xFFF + ((magnitude >> 13) & 1) - 0x38000000) >> 13))


@kernel(forceinline=True)
def _emit_one(value: np.float32, out: Floats, half: Halves, position: int) -> None:
    if half.size > 0:
        half[position] = _to_half(value)
    else:
        out[position] = value


@kernel()
def emit(
    tile: Floats,
    offset: int,
    columns: int,
    where: Integers,
    affine: Floats,
    out: Floats,
    half: Halves,
    rows_first: bool,
    y: int,
    x0: int,
    grid_high: int,
    grid_wide: int,
    channels: int,
) -> None:
    """Normalize the selected frequencies of a tile and write them where they belong: see place() for the arguments."""
    frequencies, slots, scale, shift = where[0], where[1], affine[0], affine[1]
    if rows_first:
        for n in range(frequencies.size):
            line = offset + frequencies[n] * STRIDE
            position = (slots[n] * grid_high + y) * grid_wide + x0
            if columns < 8:
                for x in range(columns):
                    _emit_one(multiply_add(tile[line + x], scale[n], shift[n]), out, half, position + x)
                continue
            ahead = (slots[min(n + 3, frequencies.size - 1)] * grid_high + y) * grid_wide + x0
            for step in range(0, columns, 8):
                x = min(step, columns - 8)
                if half.size > 0:
                    store_8(tile, line + x, scale[n], shift[n], half, position + x)
                else:
                    fetch_to_write(out, ahead + x)  # Note [Fetching ahead]
                    store_8(tile, line + x, scale[n], shift[n], out, position + x)
        return
    start = (y * grid_wide + x0) * channels
    n = 0
    while n < frequencies.size:
        if columns >= 8 and n + 8 <= frequencies.size and slots[n + 7] - slots[n] == 7:
            for step in range(0, columns, 8):
                x = min(step, columns - 8)
                position = start + x * channels + slots[n]
                if half.size > 0:
                    store_8x8(tile, offset + x, frequencies, scale, shift, n, half, position, channels)
                else:
                    store_8x8(tile, offset + x, frequencies, scale, shift, n, out, position, channels)
            n += 8
            continue
        line = offset + frequencies[n] * STRIDE
        for x in range(columns):
            value = multiply_add(tile[line + x], scale[n], shift[n])
            _emit_one(value, out, half, start + x * channels + slots[n])
        n += 1


@kernel()
def _load(blocks: Integers, first: int, count: int, factors: Floats, wanted: Flags, tile: Floats, offset: int) -> None:
    """Dequantize the rows v wanted of `count` blocks from number `first` on into a tile's columns 0, 1, ..."""
    if count >= 8:
        for v in range(8):
            if not wanted[v]:
                continue
            for step in range(0, count, 8):
                x = min(step, count - 8)
                ahead = (first + count) * 16 + (v * count + step) * 2  # Note [Fetching ahead]
                fetch(blocks, ahead)
                fetch(blocks, ahead + 8)
                load_8x8(blocks, (first + x) * 16 + 2 * v, factors, v, tile, offset + x)
        return
    coefficients = blocks.view(np.int16)
    for k in range(64):
        for x in range(count):
            tile[offset + k * STRIDE + x] = np.float32(coefficients[(first + x) * 64 + k]) * factors[k]


@kernel()
def _reach(blocks: Integers, first: int, count: int, reach: Integers) -> None:
    """Note [Reach]: of `count` blocks from number `first` on, a group of 8 at a time."""
    for group in range((count + 7) // 8):
        high_v, high_u = np.int64(0), np.int64(0)
        for block in range(first + 8 * group, first + min(8 * group + 8, count)):
            words = blocks[block * 16 : block * 16 + 16]
            for j in range(8):
                high_v |= words[8 + j]
                high_u |= words[2 * j + 1]
        reach[group] = 2 * (high_v != 0) + (high_u != 0)


@kernel()
def _extend_down(tile: Floats, offset: int, columns: int, matrix: Floats) -> None:
    """Replace the samples below the component's last row by that row: `matrix`, transposed, along v."""
    samples = np.empty(8, np.float32)
    for u in range(8):
        start = offset + u * STRIDE
        for x in range(start, start + columns):
            samples[:] = 0
            for j in range(8):
                value = tile[j * 8 * STRIDE + x]
                for i in range(8):
                    samples[i] += matrix[j, i] * value
            for i in range(8):
                tile[i * 8 * STRIDE + x] = samples[i]


@kernel()
def _double_down(
    tile: Floats,
    offset: int,
    operators: Floats,
    above: Floats,
    above_at: int,
    below: Floats,
    below_at: int,
    groups: int,
    reach: Integers,
    halves: Floats,
) -> None:
    """A tile to the two tiles that lie above each other in its place."""
    for group in range(groups):
        for u in range(8 if reach[group] & 1 else 4):
            line = u * STRIDE + 8 * group
            start, before, after, right = offset + line, above_at + line, below_at + line, 64 * STRIDE + line
            if reach[group] & 2:
                double_down_wide(tile, start, operators, above, before, below, after, halves, line, right)
            else:
                double_down_narrow(tile, start, operators, above, before, below, after, halves, line, right)


@kernel()
def _ends_down(
    tile: Floats, offset: int, basis: Floats, groups: int, reach: Integers, first: Floats, last: Floats
) -> None:
    """First and last line of samples of a row of blocks, still by u."""
    for group in range(groups):
        for line in range(8 * group, 8 * group + 8 * STRIDE, STRIDE):
            if reach[group] & 2:
                ends_down_wide(tile, offset + line, basis, first, line, last, line)
            else:
                ends_down_narrow(tile, offset + line, basis, first, line, last, line)


@kernel()
def _double_across(
    tile: Floats,
    offset: int,
    operators: Floats,
    ending: Floats,
    wanted: Flags,
    columns: int,
    reach: Integers,
    first: Floats,
    last: Floats,
    places: Integers,
    affine: Floats,
    out: Floats,
    begin: int,
) -> None:
    """A tile's rows of frequencies that are wanted, with twice the columns, to out[places[k] + begin + ...].

    `ending` is not empty where the last column of blocks has an ending of its own: see _ending().
    """
    basis, signed, tail = operators[9], operators[18:90], operators[106]
    groups = (columns + 7) // 8
    for v in range(8):
        if not wanted[v]:
            continue
        start = offset + 8 * v * STRIDE
        for group in range(groups):
            x = 8 * group
            if reach[group] & 1:
                ends_across_wide(tile, start + x, basis, first, x, last, x + 1)
            else:
                ends_across_narrow(tile, start + x, basis, first, x, last, x + 1)
        last[0] = first[0]
        first[columns] = last[columns]
        if ending.size > 0:
            end = np.float32(0)
            for u in range(8 if reach[groups - 1] & 1 else 4):
                end += tail[u] * tile[start + u * STRIDE + columns - 1]
            first[columns] = end
        for group in range(groups):
            x = 8 * group
            to = begin + 2 * x
            for u in range(8):
                fetch_to_write(out, places[(8 * v + 8 + u) & 63] + to)  # Note [Fetching ahead]
            wide = reach[group] & 1 != 0
            if ending.size > 0 and group == groups - 1:
                if wide:
                    double_ending_wide(tile, start + x, ending, last, x, first, x + 1, v, places, affine, out, to)
                else:
                    double_ending_narrow(tile, start + x, ending, last, x, first, x + 1, v, places, affine, out, to)
            elif wide:
                double_across_wide(tile, start + x, signed, last, x, first, x + 1, v, places, affine, out, to)
            else:
                double_across_narrow(tile, start + x, signed, last, x, first, x + 1, v, places, affine, out, to)


@kernel()
def _ending(operators: Floats, column: int) -> Floats:
    """`signed` of double_ending: as of any group, but for the component's last column of blocks, which ends early.

    Behind the component's last sample that sample is repeated: two matrices of their own, for left and right.
    """
    ending = np.empty((144, 8), np.float32)
    ending[:72] = operators[18:90]
    ending[72:] = operators[18:90]
    half, lane = 72 * (column % 8 // 4), 2 * (column % 4)
    for i in range(8):
        for j in range(8):
            ending[half + 9 * i + j, lane] = operators[90 + i, j]
            ending[half + 9 * i + j, lane + 1] = operators[98 + i, j]
    return ending


@kernel()
def place(
    blocks: Integers,
    blocks_high: int,
    blocks_wide: int,
    factors: Floats,
    down: int,
    across: int,
    partial_down: bool,
    partial_across: bool,
    operators: Floats,
    where: Integers,
    affine: Floats,
    out: Floats,
    half: Halves,
    rows_first: bool,
    grid_high: int,
    grid_wide: int,
    channels: int,
) -> None:
    """Put one component on the full grid: dequantize, upsample, select, normalize, in one pass.

    Args:
        blocks: int64 [blocks_high * blocks_wide * 16], four quantized coefficients a word.
        blocks_high: rows of blocks.
        blocks_wide: columns of blocks.
        factors: float32 [64], the quantization table.
        down: 1, or 2 to upsample twofold along the vertical axis.
        across: the same for the horizontal axis.
        partial_down: the component ends inside its last row of blocks: replicate its last row of samples.
        partial_across: the same for columns.
        operators: float32 [107, 8], from _doubling(): `A` of Note [Twofold upsampling] (rows 0 to 7), `edge` (8), the
            first sample of each frequency (9); the replication of the component's last row of samples, transposed (10
            to 17); `signed` of double_across (18 to 89); and for the component's last column of blocks, which ends
            early, the matrices of left and right (90, 98) and its last sample of each frequency (106).
        where: int64 [2, n]: frequency where[0, i] goes to channel where[1, i]; where[1] ascends.
        affine: float32 [2, n]: ... as value * affine[0, i] + affine[1, i].
        out: float32, the whole tensor, flat; or empty.
        half: uint16, likewise, for float16; one of the two is empty.
        rows_first: CHW, else HWC.
        grid_high: rows of the tensor.
        grid_wide: columns of the tensor.
        channels: channels of the tensor.
    """
    wanted = np.zeros(8, np.bool_)
    for k in where[0]:
        wanted[k // 8] = True
    loaded_rows = wanted if down == across == 1 else np.ones(8, np.bool_)
    tiles = np.empty(2 * 64 * STRIDE, np.float32)  # this row and the next one
    halves = np.empty(128 * STRIDE, np.float32) if down == 2 else tiles
    firsts = np.empty(3 * 8 * STRIDE if down == 2 else 0, np.float32)  # of the previous, this and the next row:
    lasts = np.empty(3 * 8 * STRIDE if down == 2 else 0, np.float32)  # their first and last line of samples
    doubled = np.empty(64 * STRIDE if across == 2 else 0, np.float32)
    first = np.empty(STRIDE, np.float32)
    last = np.empty(STRIDE, np.float32)
    reach = np.zeros((3, COLUMNS // 8 + 1), np.int64)

    lines_of_tile = np.arange(64) * STRIDE
    plain = np.ones(128, np.float32)
    plain[64:] = 0
    places, by_frequency = np.zeros(64, np.int64), np.ones(128, np.float32)
    for n in range(where.shape[1]):
        places[where[0, n]] = where[1, n] * grid_high * grid_wide
        by_frequency[where[0, n]], by_frequency[64 + where[0, n]] = affine[0, n], affine[1, n]

    part = COLUMNS // across
    # Whole rows of all frequencies leave for CHW without a tile between.
    direct = rows_first and half.size == 0 and where.shape[1] == 64 and blocks_wide <= part
    if across == 2 and blocks_wide > part:
        part -= 8  # a neighbour on either side
    for begin in range(0, blocks_wide, part):
        end = min(begin + part, blocks_wide)
        low, high = begin, end
        if across == 2:
            low, high = max(begin - 1, 0), min(end + 1, blocks_wide)
        total = high - low
        groups = (total + 7) // 8
        ending = operators[:0]
        if partial_across and high == blocks_wide:
            ending = _ending(operators, total - 1)
        loaded = 0
        for row in range(blocks_high):
            while loaded < min(row + down, blocks_high):  # of two rows, where upsampling needs the next one
                offset = (loaded % 2) * 64 * STRIDE
                number = loaded * blocks_wide + low
                _load(blocks, number, total, factors, loaded_rows, tiles, offset)
                reached = reach[loaded % 3]
                if down == 2 or across == 2:
                    _reach(blocks, number, total, reached)
                if down == 2:
                    lines = (loaded % 3) * 8 * STRIDE
                    _ends_down(tiles, offset, operators[9], groups, reached, firsts[lines:], lasts[lines:])
                    if partial_down and loaded == blocks_high - 1:
                        _extend_down(tiles, offset, total, operators[10:18])
                        reached |= 2  # the first line stays what it is
                        _ends_down(tiles, offset, operators[9], groups, reached, firsts[lines:], lasts[lines:])
                loaded += 1

            offset = (row % 2) * 64 * STRIDE
            reached = reach[row % 3].copy()
            if down == 2:
                above, above_at = lasts, (row + 2) % 3 * 8 * STRIDE
                below, below_at = firsts, (row + 1) % 3 * 8 * STRIDE
                if row > 0:
                    reached |= reach[(row + 2) % 3] & 1
                else:
                    above, above_at = firsts, 0
                if row < blocks_high - 1:
                    reached |= reach[(row + 1) % 3] & 1
                else:
                    below, below_at = lasts, row % 3 * 8 * STRIDE
                if across == 1:  # every column of frequencies leaves from here
                    reached |= 1
                _double_down(tiles, offset, operators, above, above_at, below, below_at, groups, reached, halves)
                offset = 0
            for y in range(row * down, min((row + 1) * down, grid_high)):
                if across == 2 and direct and y * grid_wide + 16 * groups <= grid_high * grid_wide:
                    # The last group may reach into the next rows, which are still to be written.
                    _double_across(
                        halves,
                        offset,
                        operators,
                        ending,
                        wanted,
                        total,
                        reached,
                        first,
                        last,
                        places,
                        by_frequency,
                        out,
                        y * grid_wide,
                    )
                elif across == 2:
                    _double_across(
                        halves,
                        offset,
                        operators,
                        ending,
                        wanted,
                        total,
                        reached,
                        first,
                        last,
                        lines_of_tile,
                        plain,
                        doubled,
                        0,
                    )
                    columns = min(2 * (end - begin), grid_wide - 2 * begin)
                    emit(
                        doubled,
                        2 * (begin - low),
                        columns,
                        where,
                        affine,
                        out,
                        half,
                        rows_first,
                        y,
                        2 * begin,
                        grid_high,
                        grid_wide,
                        channels,
                    )
                else:
                    emit(
                        halves,
                        offset,
                        end - begin,
                        where,
                        affine,
                        out,
                        half,
                        rows_first,
                        y,
                        begin,
                        grid_high,
                        grid_wide,
                        channels,
                    )
                offset += 64 * STRIDE
