// The inverse DCT of a band of blocks, from coefficients to columns of samples; see Note [Lanes] of resample_kernels.h. Of a reduced
// image, load_band() of reduction_kernels.h fills the columns instead.
#pragma once

#include "resample_arithmetic.h"

namespace jpegfreq {
namespace {

// The blocks of a band from `blocks` on, one of each row of blocks in each part of F; `next` values from a block to the next.
template <class F>
[[gnu::always_inline]] inline void inverse_blocks(const int16_t* const (&blocks)[Wide::groups], size_t next,
                                                  const float* dequantize, float* columns) {
    F x[8], factors[8];
    for (uint32_t v = 0; v < 8; ++v) {
        for (uint32_t k = 0; k < parts<F>; ++k) {
            const int16_t* rows[Wide::groups];
            for (uint32_t g = 0; g < Wide::groups; ++g) rows[g] = blocks[g] + k * next + 8 * v;
            part(x[v], k) = Wide::load_int16(rows);
            part(factors[v], k) = Wide::repeat(dequantize + 8 * v);
        }
    }
    inverse_dct_of_products(x, factors);
    transpose(x);
    inverse_dct(x);
    for (uint32_t k = 0; k < parts<F>; ++k) {
        for (uint32_t i = 0; i < 8; ++i) store(columns + wide_lanes * (8 * k + i), part(x[i], k));
    }
}

// Of blocks whose rows and columns are exchanged.
void inverse_turned(const int16_t* const (&blocks)[Wide::groups], const float* dequantize, float* columns) {
    int16_t turned[Wide::groups][64];
    const int16_t* from[Wide::groups];
    for (uint32_t g = 0; g < Wide::groups; ++g) {
        for (int k = 0; k < 64; ++k) turned[g][k] = blocks[g][8 * (k & 7) + (k >> 3)];
        from[g] = turned[g];
    }
    inverse_blocks<Wide>(from, 0, dequantize, columns);
}

// Has two cache lines of each block of a band moved to the second-level cache.
[[gnu::always_inline]] inline void prefetch_blocks(const int16_t* const (&blocks)[Wide::groups], size_t offset,
                                                   uint32_t count) {
    for (uint32_t g = 0; g < Wide::groups; ++g) {
        for (uint32_t line = 0; line < 2 * count; ++line) __builtin_prefetch(blocks[g] + offset + 32 * line, 0, 2);
    }
}

// The columns of the blocks [begin, end), counted from first_block_column.
void inverse_band(const ResamplePass& pass, uint32_t band, uint32_t begin, uint32_t end) {
    if (pass.image) return load_band(pass, band, begin, end);
    const int16_t* blocks[Wide::groups];
    for (uint32_t g = 0; g < Wide::groups; ++g) {
        blocks[g] = pass.plane + row_of_band(pass, band, g) * pass.row_stride +
                    (pass.first_block_column + begin) * pass.column_stride;
    }
    // Copies, which no store can change.
    float* columns = pass.columns + size_t(8 * wide_lanes) * begin;
    const float* const dequantize = pass.dequantize;
    const size_t next = pass.column_stride;
    // Every band begins somewhere else, which the processor cannot foresee.
    const bool last = Wide::groups * (band + 1) >= pass.block_rows;
    const size_t next_band = last ? 0 : Wide::groups * pass.row_stride;
    for (uint32_t i = begin; i < end;) {
        uint32_t done = 1;
        prefetch_blocks(blocks, next_band, parts<Several>);
        if (pass.transpose) {
            inverse_turned(blocks, dequantize, columns);
        } else if (i + parts<Several> <= end) {
            inverse_blocks<Several>(blocks, next, dequantize, columns);
            done = parts<Several>;
        } else {
            inverse_blocks<Wide>(blocks, next, dequantize, columns);
        }
        for (uint32_t g = 0; g < Wide::groups; ++g) blocks[g] += done * next;
        columns += done * 8 * wide_lanes;
        i += done;
    }
}

}  // namespace
}  // namespace jpegfreq
