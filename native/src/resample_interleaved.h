// "Interleaved" rows, as Note [Lanes] of resample_kernels.h calls them: whole blocks, whose 64 channels go out together.
#pragma once

#include "resample_arithmetic.h"
#include "resample_stores.h"

namespace jpegfreq {
namespace {

template <int Count, class F>
[[gnu::always_inline]] inline void interleaved_block(const ColumnTaps& taps, uint32_t block, float* ring,
                                                     size_t stride) {
    F x[8];
    horizontal_block<Count>(taps, block, x);
    transpose(x);
    store_rows(ring + 8 * block, stride, x);
}

template <int Count>
void horizontal_interleaved(const ResamplePass& pass, float* ring, uint32_t begin, uint32_t end) {
    const ColumnTaps taps(pass);
    const size_t stride = pass.ring_stride;
    uint32_t block = begin;
    for (; block + parts<Several> <= end; block += parts<Several>)
        interleaved_block<Count, Several>(taps, block, ring, stride);
    for (; block < end; ++block) interleaved_block<Count, Wide>(taps, block, ring, stride);
}

// Where whole blocks go: `stride` values from one to the next.
template <class T>
struct Blocks {
    T* to;
    size_t stride;
    bool stream;
};
template <class T>
Blocks<T> blocks_at(T* to, size_t stride, bool stream) {
    return {to, stride, stream};
}

// Where a row of 16-bit values is a row of the block.
template <class T, class F>
[[gnu::always_inline]] inline void store_short_blocks(T* to, size_t, const F (&x)[8], bool stream) {
    for (int v = 0; v < 8; ++v) stream ? stream_short(to + 8 * v, x[v]) : store_short(to + 8 * v, x[v]);
}

// Rows of the next `count` blocks, which are groups of x.
template <class T>
[[gnu::always_inline]] inline void store_blocks(Blocks<T>& blocks, Wide (&x)[8], uint32_t count) {
    if constexpr (sizeof(T) == 2) {
        if (count >= Wide::groups) {
            store_short_blocks(blocks.to, blocks.stride, x, blocks.stream);
            blocks.to += Wide::groups * blocks.stride;
            return;
        }
    }
    join_rows(x);
    for (uint32_t b = 0; b < Wide::groups && b < count; ++b) {
        const Wide* rows = x + 64 / wide_lanes * b;
        for (uint32_t i = 0; i < 64 / wide_lanes; ++i) {
            T* const to = blocks.to + wide_lanes * i;
            blocks.stream ? stream_part(to, rows[i]) : store_part(to, rows[i], wide_lanes);
        }
        blocks.to += blocks.stride;
    }
}

// The blocks [first, first + count) of a block row.
template <int Count, class T>
void write_interleaved(const ResamplePass& pass, const RowTaps& row_taps, Blocks<T> blocks, uint32_t first,
                       uint32_t count) {
    // Copies, which no store can change.
    const RowTaps taps = row_taps;
    Wide scale[8], shift[8];
    for (int v = 0; v < 8; ++v)
        scale[v] = Wide::repeat(pass.scale + 8 * v), shift[v] = Wide::repeat(pass.shift + 8 * v);
    constexpr uint32_t step = parts<Several> * Wide::groups;
    const uint32_t end = first + count;
    uint32_t block = first;
    for (; block + step <= end; block += step) {
        Several x[8];
        vertical_block<Count, Wide>(taps, size_t(8) * block, x);
        for (uint32_t k = 0; k < parts<Several>; ++k) {
            Wide rows[8];
            for (int v = 0; v < 8; ++v) rows[v] = multiply_add(part(x[v], k), scale[v], shift[v]);
            store_blocks(blocks, rows, Wide::groups);
        }
    }
    for (; block < end; block += Wide::groups) {
        Wide x[8];
        vertical_block<Count, Wide>(taps, size_t(8) * block, x);
        for (int v = 0; v < 8; ++v) x[v] = multiply_add(x[v], scale[v], shift[v]);
        store_blocks(blocks, x, end - block);
    }
}

// The blocks [first, first + count) of a block row, to `out` or to the staging, where they come first.
template <int Count>
void vertical_interleaved(const ResamplePass& pass, const RowTaps& taps, uint32_t block_row, uint32_t first,
                          uint32_t count) {
    const size_t stride = pass.output_channels;
    if (pass.staging)
        return write_interleaved<Count>(pass, taps, blocks_at(pass.staging + pass.positions[0], stride, false), first,
                                        count);
    const size_t begin = (size_t(block_row) * pass.blocks_wide + first) * stride + pass.positions[0];
    with_type(pass.type, pass.out, [&](auto* out) {
        write_interleaved<Count>(pass, taps, blocks_at(out + begin, stride, pass.stream), first, count);
    });
}

}  // namespace
}  // namespace jpegfreq
