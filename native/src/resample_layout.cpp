#include "resample_layout.h"

#include <algorithm>
#include <cmath>

#include "dispatch.h"
#include "half.h"

namespace jpegfreq {

namespace {

size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

// Bands that the taps of `row_group` output block rows touch at most, whatever make_taps chooses, and one that is made ahead.
uint32_t max_ring_bands(const Axis& axis, uint32_t row_group, uint32_t lanes) {
    const SampleRange range = source_range(axis);
    // Samples are pixels at least.
    const uint64_t step = (uint64_t(8 * row_group - 1) * axis.size + axis.resized_size - 1) / axis.resized_size;
    const uint64_t rows = std::min<uint64_t>(step + max_taps(axis) + 2, range.end - range.begin);
    return uint32_t((rows + lanes - 2) / lanes + 2);
}

// Scale factors of the DCT of Arai, Agui and Nakajima, which its kernels leave out: orthonormal = theirs * factor / sqrt(8).
double scale_factor(int frequency) {
    return frequency == 0 ? 1.0 : std::sqrt(2.0) * std::cos(frequency * 3.14159265358979323846 / 16);
}

struct ScaleFactors {
    double product[64];  // by 8 * v + u
    ScaleFactors() {
        for (int k = 0; k < 64; ++k) product[k] = scale_factor(k >> 3) * scale_factor(k & 7);
    }
};

const double* scale_factors() {
    static const ScaleFactors factors;
    return factors.product;
}

bool is_whole_block(const Channels& channels) {
    if (channels.count != 64) return false;
    for (uint32_t k = 0; k < 64; ++k) {
        if (channels.frequencies[k] != k || channels.positions[k] != channels.positions[0] + k) return false;
    }
    return true;
}

// The form of a staged component whose channels are neighbours in natural order; see ResamplePass. Returns its width, or 0.
uint32_t packed_width(const Channels& channels, uint32_t blocks_wide, uint8_t (&lengths)[8]) {
    uint32_t found = 0, widest = 0, rows = 0;
    for (uint32_t v = 0; v < 8; ++v) {
        uint32_t u = 0;
        while (u < 8 && found < channels.count && channels.frequencies[found] == 8 * v + u &&
               channels.positions[found] == channels.positions[0] + found) {
            ++u, ++found;
        }
        lengths[v] = uint8_t(u);
        widest = std::max(widest, u);
        if (u != 0) rows = v + 1;
    }
    if (found != channels.count) return 0;
    for (uint32_t width = 2; width <= 4; width += 2) {
        if (widest <= width && rows <= 4 && blocks_wide * width % 8 == 0) return width;
    }
    return 8;
}

constexpr bool is_short(TensorType type) { return type == TensorType::float16 || type == TensorType::bfloat16; }

// Values in a cache line, where lines matter: not of int8.
constexpr uint32_t line_values(TensorType type) { return is_short(type) ? 32 : 16; }

// How many block rows of a channel fill whole lines, or else the most that are worked on together.
uint32_t rows_in_lines(uint32_t blocks_wide, TensorType type) {
    uint32_t rows = 1;
    while (rows < max_row_group && rows * blocks_wide % line_values(type) != 0) rows *= 2;
    return rows;
}

// Channels last, a block at a time, or channels first, in runs that hold whole cache lines: non-temporal stores pay only for
// those.
bool can_stream(const TensorSpec& spec, const ResamplePass& pass, const void* out) {
    if (!spec.stream || spec.type == TensorType::int8) return false;
    if (spec.layout == TensorLayout::chw) return true;
    const uint32_t line = line_values(spec.type);
    return reinterpret_cast<uintptr_t>(out) % 64 == 0 && pass.interleaved && spec.channel_count % line == 0 &&
           pass.positions[0] % line == 0;
}

// The channels of a component that the image does not have. `convert` makes a value of the tensor of a float.
template <class T>
void fill_constant(const ResampleGeometry& geometry, const TensorSpec& spec, const Channels& channels,
                   T (&convert)(float), void* tensor) {
    T* out = static_cast<T*>(tensor);
    T values[64];
    for (uint32_t k = 0; k < channels.count; ++k) values[k] = convert(channels.shift[channels.frequencies[k]]);
    const size_t blocks = size_t(geometry.output_height / 8) * (geometry.output_width / 8);
    if (spec.layout == TensorLayout::chw) {
        for (uint32_t k = 0; k < channels.count; ++k) {
            std::fill_n(out + channels.positions[k] * blocks, blocks, values[k]);
        }
        return;
    }
    for (size_t block = 0; block < blocks; ++block, out += spec.channel_count) {
        for (uint32_t k = 0; k < channels.count; ++k) out[channels.positions[k]] = values[k];
    }
}

float to_float(float value) { return value; }

}  // namespace

uint32_t ring_bands(const Axis& axis, const Taps& taps, uint32_t row_group, uint32_t lanes) {
    uint32_t bands = 1;
    for (uint32_t o = 0; o < axis.output_size; o += 8 * row_group) {
        const uint32_t last = std::min(o + 8 * row_group, axis.output_size) - 1;
        const uint32_t first = std::min(taps.start[o], taps.start[last]);
        const uint32_t end = std::max(taps.start[o], taps.start[last]) + taps.count;
        bands = std::max(bands, (end + lanes - 1) / lanes - first / lanes);
    }
    return bands;
}

void fill_dequantization(const uint16_t* table, bool transpose, double grey_level, float* dequantize) {
    const double* factors = scale_factors();
    for (int k = 0; k < 64; ++k) {
        const int stored = transpose ? 8 * (k & 7) + (k >> 3) : k;
        dequantize[k] = float(table[stored] * factors[k] / 8 * grey_level);
    }
}

Channels channels_of(const TensorSpec& spec, int component) {
    const double* factors = scale_factors();
    Channels channels;
    for (uint32_t k = 0; k < spec.channel_count; ++k) {
        if (spec.channels[k] / 64 != component) continue;
        const uint8_t frequency = spec.channels[k] % 64;
        channels.frequencies[channels.count] = frequency;
        channels.positions[channels.count++] = k;
        channels.scale[frequency] = float(spec.scale[k] / (8 * factors[frequency]));
        channels.shift[frequency] = spec.shift[k];
    }
    return channels;
}

bool makes_bands_ahead(const ResamplePass& pass) { return pass.interleaved && pass.stream && !pass.staging; }

size_t staged_row(const Header& header, const ResampleGeometry& geometry, const TensorSpec& spec,
                  const Channels (&channels)[max_components], const void* out) {
    bool any = false;  // component that the image has
    for (int c = 0; c < header.component_count; ++c) any |= channels[c].count != 0;
    if (!any || spec.layout != TensorLayout::hwc || spec.type == TensorType::int8) return 0;
    bool whole_blocks = true;
    const uint32_t line = line_values(spec.type);
    bool whole_lines = spec.channel_count % line == 0 && reinterpret_cast<uintptr_t>(out) % 64 == 0;
    for (const Channels& one : channels) {
        if (one.count == 0) continue;
        whole_blocks &= is_whole_block(one);
        whole_lines &= one.positions[0] % line == 0;
    }
    if (whole_blocks && (!spec.stream || whole_lines)) return 0;
    return size_t(geometry.output_width / 8) * spec.channel_count;
}

void lay_out(const ResampleGeometry& geometry, const TensorSpec& spec, const Channels& channels, const Axis& horizontal,
             const Axis& vertical, const void* out, bool staged, uint32_t row_blocks, Arena& arena, ResamplePass& pass,
             float*& dequantize) {
    const size_t lanes = kernels().resample->lanes;
    pass.transpose = geometry.transpose;
    pass.row_stride = geometry.transpose ? 64 : size_t(64) * row_blocks;
    pass.column_stride = geometry.transpose ? size_t(64) * row_blocks : 64;
    const SampleRange columns = source_range(horizontal), rows = source_range(vertical);
    pass.first_block_column = columns.begin / 8;
    pass.block_columns = (columns.end + 7) / 8 - pass.first_block_column;
    pass.first_block_row = rows.begin / 8;
    pass.block_rows = (rows.end + 7) / 8 - pass.first_block_row;
    pass.reverse_rows = geometry.vertical_flip;

    pass.blocks_high = geometry.output_height / 8;
    pass.blocks_wide = geometry.output_width / 8;
    pass.layout = spec.layout;
    pass.type = spec.type;
    pass.output_channels = spec.channel_count;
    pass.channel_count = channels.count;
    pass.frequencies = channels.frequencies;
    pass.positions = channels.positions;
    pass.scale = channels.scale;
    pass.shift = channels.shift;
    pass.interleaved = spec.layout == TensorLayout::hwc && is_whole_block(channels);
    pass.row_group = spec.layout == TensorLayout::chw ? rows_in_lines(pass.blocks_wide, spec.type) : 1;
    pass.stream = can_stream(spec, pass, out);

    pass.packed = staged && !pass.interleaved ? packed_width(channels, pass.blocks_wide, pass.packed_lengths) : 0;
    uint32_t needed_u = 0;
    for (uint32_t k = 0; k < channels.count; ++k) needed_u |= 1u << (channels.frequencies[k] & 7);
    uint32_t u_count = 0;
    for (; needed_u; needed_u &= needed_u - 1) ++u_count;
    pass.run_stride = round_up(pass.blocks_wide, lanes);
    const uint32_t packed = pass.interleaved ? 8 : pass.packed;
    const size_t row_floats = packed ? size_t(packed) * pass.blocks_wide : u_count * pass.run_stride;
    // An odd number of lines: rows a power of two apart would meet in the same cache sets.
    pass.ring_stride = round_up(row_floats, 16) | 16;
    // An odd number of vectors, for the same reason.
    pass.rows_stride = round_up(pass.row_group * size_t(pass.blocks_wide), lanes) | lanes;
    const size_t row_count = pass.interleaved || pass.packed    ? 0
                             : spec.layout == TensorLayout::chw ? 8
                                                                : channels.count;

    dequantize = arena.take<float>(64);
    pass.columns = arena.take<float>(8 * lanes * pass.block_columns);
    pass.rows = arena.take<float>(row_count * pass.rows_stride);
    pass.ring = arena.take<float>(
        (lanes * max_ring_bands(vertical, pass.row_group, uint32_t(lanes)) + max_taps(vertical)) * pass.ring_stride);
}

void fill_absent(const ResampleGeometry& geometry, const TensorSpec& spec, const Channels& channels, void* out) {
    switch (spec.type) {
        case TensorType::float32: return fill_constant(geometry, spec, channels, to_float, out);
        case TensorType::float16: return fill_constant(geometry, spec, channels, to_half, out);
        case TensorType::bfloat16: return fill_constant(geometry, spec, channels, to_bfloat16, out);
        case TensorType::int8: return fill_constant(geometry, spec, channels, to_int8, out);
    }
}

}  // namespace jpegfreq
