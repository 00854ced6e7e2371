// "Planar" rows, as Note [Lanes] of resample_kernels.h calls them: planes of channels (CHW), and channels in any order (HWC).
#pragma once

#include "resample_arithmetic.h"
#include "resample_stores.h"

namespace jpegfreq {
namespace {

// The channels of a component by u, as planar passes work on them.
struct Needed {
    struct Column {
        uint8_t u;
        uint8_t count;
        uint8_t v[8];
        uint8_t channel[8];  // number within the component, in the order of the output
    };
    uint32_t count = 0;
    bool low = true;  // no v or u above 3: half of every DCT is not needed
    Column columns[8];
};

Needed needed_frequencies(const ResamplePass& pass) {
    Needed needed;
    int index[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    for (uint32_t k = 0; k < pass.channel_count; ++k) {
        const int v = pass.frequencies[k] >> 3, u = pass.frequencies[k] & 7;
        if (index[u] < 0) {
            index[u] = int(needed.count);
            needed.columns[needed.count].u = uint8_t(u);
            needed.columns[needed.count++].count = 0;
        }
        if (v > 3 || u > 3) needed.low = false;
        Needed::Column& column = needed.columns[index[u]];
        column.v[column.count] = uint8_t(v);
        column.channel[column.count++] = uint8_t(k);
    }
    return needed;
}

template <int Count, bool Low>
void horizontal_planar(const ResamplePass& pass, const Needed& needed, float* ring, uint32_t begin, uint32_t end) {
    const ColumnTaps taps(pass);
    for (uint32_t group = begin / 8; group < (end + 7) / 8; ++group) {
        alignas(64) float turned[8][8 * wide_lanes];  // [block][u][row]
        const uint32_t left = pass.blocks_wide - 8 * group;
        const uint32_t blocks = left < 8 ? left : 8;
        for (uint32_t b = 0; b < 8; ++b) {
            Wide x[8];
            horizontal_block<Count>(taps, 8 * group + (b < blocks ? b : blocks - 1), x);
            for (uint32_t u = 0; u < (Low ? 4 : 8); ++u) store(turned[b] + wide_lanes * u, x[u]);
        }
        for (uint32_t i = 0; i < needed.count; ++i) {
            Wide x[8];
            for (int b = 0; b < 8; ++b) x[b] = Wide::load(turned[b] + wide_lanes * needed.columns[i].u);
            transpose(x);
            store_rows(ring + i * pass.run_stride + 8 * group, pass.ring_stride, x);
        }
    }
}

// All blocks of one u in one block row. to[v]: where finished rows go; null where v is not needed.
template <int Count, bool Low>
void vertical_planar(const ResamplePass& pass, const Needed& needed, uint32_t column, const RowTaps& taps,
                     float* const (&to)[8]) {
    constexpr int frequencies = Low ? 4 : 8;
    const float* scale = pass.scale + needed.columns[column].u;
    const float* shift = pass.shift + needed.columns[column].u;
    for (uint32_t block = 0; block < pass.blocks_wide; block += wide_lanes) {
        Wide x[8];
        vertical_block<Count, Wide>(taps, column * pass.run_stride + block, x);
        for (int v = 0; v < frequencies; ++v)
            x[v] = multiply_add(x[v], Wide::broadcast(scale[8 * v]), Wide::broadcast(shift[8 * v]));
        const uint32_t left = pass.blocks_wide - block;
        if (left < wide_lanes) {  // rows have no gaps between them: nothing may be written after their end
            for (int v = 0; v < frequencies; ++v) {
                if (to[v]) store_partial(to[v] + block, x[v], left);
            }
        } else {
            for (int v = 0; v < frequencies; ++v) {
                if (to[v]) store(to[v] + block, x[v]);
            }
        }
    }
}

template <int Count>
void vertical_column(const ResamplePass& pass, const Needed& needed, uint32_t column, const RowTaps& taps,
                     float* const (&to)[8]) {
    needed.low ? vertical_planar<Count, true>(pass, needed, column, taps, to)
               : vertical_planar<Count, false>(pass, needed, column, taps, to);
}

// CHW: the block rows [block_row, block_row + row_count), one u after the other. taps: of each of them.
template <int Count>
void vertical_planes(const ResamplePass& pass, const Needed& needed, const RowTaps* taps, uint32_t block_row,
                     uint32_t row_count) {
    const size_t plane = size_t(pass.blocks_high) * pass.blocks_wide;
    const size_t begin = size_t(block_row) * pass.blocks_wide;
    const size_t length = size_t(row_count) * pass.blocks_wide;
    for (uint32_t i = 0; i < needed.count; ++i) {
        const Needed::Column& column = needed.columns[i];
        for (uint32_t r = 0; r < row_count; ++r) {
            float* to[8] = {};
            for (uint32_t n = 0; n < column.count; ++n)
                to[column.v[n]] = pass.rows + n * pass.rows_stride + r * pass.blocks_wide;
            vertical_column<Count>(pass, needed, i, taps[r], to);
        }
        // Memory takes non-temporal stores fastest in long runs with no other stores in between.
        for (uint32_t n = 0; n < column.count; ++n) {
            store_run(pass, pass.rows + n * pass.rows_stride, pass.positions[column.channel[n]] * plane + begin,
                      length);
        }
    }
}

// HWC, of components that are not whole blocks.
template <int Count>
void vertical_channels(const ResamplePass& pass, const Needed& needed, const RowTaps& taps, uint32_t block_row) {
    for (uint32_t i = 0; i < needed.count; ++i) {
        const Needed::Column& column = needed.columns[i];
        float* to[8] = {};
        for (uint32_t n = 0; n < column.count; ++n) to[column.v[n]] = pass.rows + column.channel[n] * pass.rows_stride;
        vertical_column<Count>(pass, needed, i, taps, to);
    }
    const size_t begin = pass.staging ? 0 : size_t(block_row) * pass.blocks_wide * pass.output_channels;
    void* const out = pass.staging ? pass.staging : pass.out;
    const TensorType type = pass.staging ? TensorType::float32 : pass.type;
    for (uint32_t k = 0; k < pass.channel_count;) {
        // Up to 8 channels that are neighbours in the output.
        uint32_t run = 1;
        while (run < 8 && k + run < pass.channel_count && pass.positions[k + run] == pass.positions[k] + run) ++run;
        for (uint32_t first = 0; first < pass.blocks_wide; first += wide_lanes) {
            Wide x[8];
            for (uint32_t i = 0; i < 8; ++i)
                x[i] = Wide::load(pass.rows + (k + (i < run ? i : 0)) * pass.rows_stride + first);
            transpose(x);
            for (uint32_t b = 0; b < wide_lanes && first + b < pass.blocks_wide; ++b) {
                const F8 values = group(x[b % 8], b / 8);
                const size_t index = begin + size_t(first + b) * pass.output_channels + pass.positions[k];
                with_type(type, out, [&](auto* to) { store_part(to + index, values, run); });
            }
        }
        k += run;
    }
}

}  // namespace
}  // namespace jpegfreq
