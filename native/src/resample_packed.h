// "Packed" rows: channels last of a component that is no whole block, but whose channels are neighbours in natural order.
#pragma once

#include "resample_arithmetic.h"
#include "resample_interleaved.h"
#include "resample_stores.h"

namespace jpegfreq {
namespace {

// "Packed" rows: lanes = the first `Width` frequencies u of 8 / Width neighbouring blocks.
template <int Count, uint32_t Width>
void horizontal_packed(const ResamplePass& pass, float* ring, uint32_t begin, uint32_t end) {
    if (Width == 8) return horizontal_interleaved<Count>(pass, ring, begin, end);
    const ColumnTaps taps(pass);
    const size_t stride = pass.ring_stride;
    ring += Width * begin;
    for (uint32_t block = begin; block < end; block += 8 / Width, ring += 8) {
        Wide packed[8];
        for (uint32_t b = 0; b < 8 / Width; ++b) {
            Wide x[8];
            horizontal_block<Count>(taps, block + b, x);
            for (uint32_t u = 0; u < Width; ++u) packed[b * Width + u] = x[u];
        }
        transpose(packed);
        store_rows(ring, stride, packed);
    }
}

// scatter<Width> of the first `count` elements of every `Width`.
template <int Width, class F>
inline void scatter_partial(float* to, size_t stride, const F& x, uint32_t count) {
    alignas(64) float all[8 * F::groups];
    store(all, x);
    for (uint32_t i = 0; i < 8 * F::groups; i += Width, to += stride) {
        for (uint32_t k = 0; k < count; ++k) to[k] = all[i + k];
    }
}

// What the rows of packed blocks are multiplied by and where they go, from one block to the next `stride` floats.
struct PackedRows {
    alignas(32) float scale[8][8], shift[8][8];
    uint8_t lengths[8];
    bool whole[8];  // whether `Width` elements can be written: those over are overwritten by the next rows
    float* to;
    size_t stride;
};

// One vector column: 8 / Width blocks in each group.
template <int Count, int Width, bool Whole, class F>
[[gnu::always_inline]] inline void packed_column(const PackedRows& rows, const RowTaps& taps, uint32_t block) {
    float* to = rows.to + block * rows.stride;
    F x[8];
    vertical_block<Count, F>(taps, size_t(Width) * block, x);
    for (uint32_t v = 0; v < (Width == 8 ? 8 : 4); ++v) {  // a constant count, which keeps x in registers
        const uint32_t length = rows.lengths[v];
        if (length == 0) continue;
        const F row = multiply_add(x[v], F::repeat(rows.scale[v]), F::repeat(rows.shift[v]));
        Whole || rows.whole[v] ? scatter<Width>(to, rows.stride, row)
                               : scatter_partial<Width>(to, rows.stride, row, length);
        to += length;
    }
}

template <int Count, int Width, bool Whole>
[[gnu::always_inline]] inline void packed_columns(const PackedRows& rows, const RowTaps& taps, uint32_t blocks) {
    uint32_t block = 0;
    for (; block + wide_lanes / Width <= blocks; block += wide_lanes / Width)
        packed_column<Count, Width, Whole, Wide>(rows, taps, block);
    for (; block < blocks; block += 8 / Width) packed_column<Count, Width, Whole, F8>(rows, taps, block);
}

template <int Count, int Width>
void vertical_packed(const ResamplePass& pass, const RowTaps& row_taps) {
    const RowTaps taps = row_taps;  // a copy, which no store can change
    PackedRows rows;
    rows.to = pass.staging + pass.positions[0];
    rows.stride = pass.output_channels;
    uint32_t before = 0;
    bool all_whole = true;
    for (uint32_t v = 0; v < 8; ++v) {
        for (int i = 0; i < 8; ++i) {
            rows.scale[v][i] = pass.scale[8 * v + i % Width];
            rows.shift[v][i] = pass.shift[8 * v + i % Width];
        }
        rows.lengths[v] = pass.packed_lengths[v];
        rows.whole[v] = before + Width <= pass.channel_count;
        all_whole &= rows.whole[v] || rows.lengths[v] == 0;
        before += pass.packed_lengths[v];
    }
    all_whole ? packed_columns<Count, Width, true>(rows, taps, pass.blocks_wide)
              : packed_columns<Count, Width, false>(rows, taps, pass.blocks_wide);
}

}  // namespace
}  // namespace jpegfreq
