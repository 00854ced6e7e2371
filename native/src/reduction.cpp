#include "reduction.h"

#include <algorithm>
#include <cmath>

#include "dispatch.h"

namespace jpegfreq {

namespace {

// D by sample, then frequency.
struct Basis {
    alignas(64) float values[64];
    Basis() {
        for (int x = 0; x < 8; ++x) {
            for (int u = 0; u < 8; ++u) {
                const double scale = u == 0 ? std::sqrt(0.125) : 0.5;
                values[8 * x + u] = float(scale * std::cos((2 * x + 1) * u * 3.14159265358979323846 / 16));
            }
        }
    }
};

const float* basis() {
    static const Basis basis;
    return basis.values;
}

// Of a flipped axis in reverse, so that they always ascend. False: no memory.
bool fill_taps(const Axis& axis, Buffer<uint32_t>& starts, Buffer<float>& weights, GridTaps& grid, Taps& taps) {
    const size_t size = size_t(axis.output_size) * max_taps(axis) + taps_over;
    if (!starts.reserve(axis.output_size) || !weights.reserve(size)) return false;
    taps.start = starts.data();
    taps.weights = weights.data();
    if (!grid.make_taps(axis, taps)) return false;
    if (!axis.flip) return true;
    std::reverse(taps.start, taps.start + axis.output_size);
    for (uint32_t slot = 0, last = axis.output_size - 1; slot < last; ++slot, --last)
        std::swap_ranges(taps.weights + size_t(slot) * taps.count, taps.weights + size_t(slot + 1) * taps.count,
                         taps.weights + size_t(last) * taps.count);
    return true;
}

// Output rows that a block row reaches, at most.
uint32_t most_rows_at_once(const Taps& taps, uint32_t rows) {
    uint32_t most = 1, done = 0;
    for (uint32_t begun = 0; begun < rows; ++begun) {
        // Row `begun` begins in this block row, and so do those before it that are not yet complete above it.
        const uint32_t top = taps.start[begun] / 8 * 8;
        while (taps.start[done] + taps.count <= top) ++done;
        most = std::max(most, begun + 1 - done);
    }
    return most;
}

}  // namespace

bool reduction_pays(const Axis& vertical, const Axis& horizontal) {
    const auto shrinkage = [](const Axis& axis) {
        return double(axis.size) * axis.sampling / (double(axis.max_sampling) * axis.resized_size);
    };
    const double rows = shrinkage(vertical), columns = shrinkage(horizontal);
    return std::min(rows, columns) >= 2 && rows * columns >= 9;
}

bool Reducer::begin(const int16_t* plane, uint32_t row_blocks, uint32_t held_rows, const uint16_t* quantization_table,
                    const Axis& vertical, const Axis& horizontal) {
    Reduction& r = reduction_;
    r = Reduction();
    r.plane = plane;
    r.row_stride = size_t(64) * row_blocks;
    r.held_rows = held_rows;
    r.basis = basis();
    Taps taps;
    if (!fill_taps(vertical, starts_[0], weights_[0], grid_, taps)) return false;
    r.start = taps.start;
    r.weights = taps.weights;
    r.count = taps.count;
    r.rows = vertical.output_size;
    r.slots = most_rows_at_once(taps, r.rows) + 1;
    if (!fill_taps(horizontal, starts_[1], weights_[1], grid_, taps) || !set_columns(horizontal, taps)) return false;

    r.sums_stride = size_t(8) * r.block_columns | 16;  // rows a power of two apart would meet in the same cache sets
    const size_t image = size_t(r.rows) * r.columns;
    if (!scratch_.reserve(64 + size_t(r.slots) * (64 + r.sums_stride) + image)) return false;
    float* const dequantize = scratch_.data();
    for (int k = 0; k < 64; ++k) dequantize[k] = quantization_table[k];
    r.dequantize = dequantize;
    r.row_weights = dequantize + 64;
    r.sums = r.row_weights + size_t(r.slots) * 64;
    r.image = r.sums + size_t(r.slots) * r.sums_stride;
    return true;
}

bool Reducer::set_columns(const Axis& axis, const Taps& taps) {
    Reduction& r = reduction_;
    const SampleRange range = source_range(axis);
    r.first_block_column = range.begin / 8;
    r.block_columns = (range.end + 7) / 8 - r.first_block_column;
    r.columns = axis.output_size;
    r.blocks = 1;
    for (uint32_t p = 0; p < r.columns; ++p)
        r.blocks = std::max(r.blocks, (taps.start[p] + taps.count + 7) / 8 - taps.start[p] / 8);
    const size_t size = size_t(8) * r.blocks * r.columns;
    if (!first_blocks_.reserve(r.columns) || !block_weights_.reserve(size)) return false;
    r.first_block = first_blocks_.data();
    r.block_weights = block_weights_.data();
    std::fill_n(block_weights_.data(), size, 0.0f);
    for (uint32_t p = 0; p < r.columns; ++p) {
        // Every column reads `blocks` blocks: move its first one back where they would pass the last.
        const uint32_t first = std::min(taps.start[p] / 8 - r.first_block_column, r.block_columns - r.blocks);
        first_blocks_[p] = first;
        float* const to = block_weights_.data() + size_t(8) * r.blocks * p;
        for (uint32_t t = 0; t < taps.count; ++t) {
            const uint32_t sample = taps.start[p] + t - 8 * (first + r.first_block_column);
            const float* from = r.basis + 8 * (sample % 8);
            for (uint32_t u = 0; u < 8; ++u)
                to[8 * (sample / 8) + u] += taps.weights[size_t(p) * taps.count + t] * from[u];
        }
    }
    return true;
}

void Reducer::add(uint32_t block_row_end) { kernels().resample->reduce(reduction_, block_row_end); }

void Reducer::trim() {
    constexpr size_t kept = 4 << 20;
    for (auto* buffer : {&starts_[0], &starts_[1], &first_blocks_}) buffer->trim(kept);
    for (auto* buffer : {&weights_[0], &weights_[1], &block_weights_, &scratch_}) buffer->trim(kept);
    grid_.trim(kept);
}

}  // namespace jpegfreq
