#include "jpegfreq_resample.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include "dispatch.h"
#include "half.h"
#include "resample_pass.h"
#include "resample_taps.h"
#include "status.h"

namespace jpegfreq {

namespace {

struct Size {
    uint32_t height, width;
};

Size image_size(const Header& header, bool transpose) {
    return transpose ? Size{header.width, header.height} : Size{header.height, header.width};
}

Axis make_axis(const Header& header, const ResampleGeometry& geometry, int component, bool vertical) {
    const Component& c = header.components[component];
    const Size image = image_size(header, geometry.transpose);
    const bool stored_vertical = vertical != geometry.transpose;
    Axis axis;
    axis.image_size = vertical ? image.height : image.width;
    axis.sampling = stored_vertical ? c.vertical_sampling_factor : c.horizontal_sampling_factor;
    axis.max_sampling = stored_vertical ? header.max_vertical_sampling_factor : header.max_horizontal_sampling_factor;
    axis.begin = vertical ? geometry.top : geometry.left;
    axis.size = vertical ? geometry.height : geometry.width;
    axis.resized_size = vertical ? geometry.resized_height : geometry.resized_width;
    axis.window_begin = vertical ? geometry.window_top : geometry.window_left;
    axis.window_size = vertical ? geometry.window_height : geometry.window_width;
    axis.output_size = vertical ? geometry.output_height : geometry.output_width;
    axis.flip = vertical ? geometry.vertical_flip : geometry.horizontal_flip;
    axis.antialias = geometry.antialias;
    axis.filter = geometry.filter;
    axis.chroma = geometry.chroma;
    return axis;
}

Status refuse(const char* message, int64_t detail = 0) {
    Status status;
    status.code = Code::unsupported;
    status.segment = "resample";
    status.message = message;
    status.detail = detail;
    return status;
}

// Block rows of a component in a row of MCUs. T.81 A.2.2: the MCU of a scan with one component is one block, whatever its
// sampling factors.
uint32_t mcu_height(const Header& header, int component) {
    return header.component_count == 1 ? 1 : header.components[component].vertical_sampling_factor;
}

Status no_memory() {
    Status status = refuse("no memory for the scratch");
    status.code = Code::out_of_memory;
    return status;
}

// The axis of a reduced image: it takes each of its samples once, in order or flipped.
Axis reduced_axis(const Axis& axis) {
    Axis reduced;
    reduced.image_size = reduced.size = reduced.resized_size = axis.output_size;
    reduced.window_size = reduced.output_size = axis.output_size;
    reduced.flip = axis.flip;
    reduced.antialias = false;
    reduced.filter = Filter::box;
    return reduced;
}

Status check_spec(const TensorSpec& spec) {
    if (spec.channel_count == 0 || spec.channel_count > max_tensor_channels)
        return refuse("{} channels", spec.channel_count);
    bool seen[max_tensor_channels] = {};
    for (uint32_t k = 0; k < spec.channel_count; ++k) {
        const uint16_t channel = spec.channels[k];
        if (channel >= max_tensor_channels) return refuse("there is no channel {}", channel);
        if (seen[channel]) return refuse("channel {} is named twice", channel);
        seen[channel] = true;
    }
    return {};
}

// The scratch of one component, cut from one allocation. Every part begins on a cache line.
struct Arena {
    uint8_t* base;
    size_t used = 0;

    template <class T>
    T* take(size_t count) {
        T* part = base ? reinterpret_cast<T*>(base + used) : nullptr;
        used += (count * sizeof(T) + 63) / 64 * 64;
        return part;
    }
};

struct AxisScratch {
    Taps taps;

    AxisScratch(const Axis& axis, Arena& arena) {
        taps.start = arena.take<uint32_t>(axis.output_size);
        taps.weights = arena.take<float>(size_t(axis.output_size) * max_taps(axis) + taps_over);
    }
};

size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

// Bands that the taps of `row_group` output block rows touch at most, whatever make_taps chooses, and one that is made ahead.
uint32_t max_ring_bands(const Axis& axis, uint32_t row_group, uint32_t lanes) {
    const SampleRange range = source_range(axis);
    // Samples are pixels at least.
    const uint64_t step = (uint64_t(8 * row_group - 1) * axis.size + axis.resized_size - 1) / axis.resized_size;
    const uint64_t rows = std::min<uint64_t>(step + max_taps(axis) + 2, range.end - range.begin);
    return uint32_t((rows + lanes - 2) / lanes + 2);
}

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

// The component's channels, in the order of the output.
struct Channels {
    uint32_t count = 0;
    uint8_t frequencies[64];
    uint32_t positions[64];
    alignas(64) float scale[64];
    alignas(64) float shift[64];
};

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

// See Note [Pieces] of resample_bands.h. Other passes keep the ring as small as they can.
bool makes_bands_ahead(const ResamplePass& pass) { return pass.interleaved && pass.stream && !pass.staging; }

// Channels last where that is not so: every component would write parts of lines, all over the output. Floats of a block row
// that all components fill together, so that it is written in whole cache lines; else 0. Whole blocks gain by it only if they would
// go out with non-temporal stores, were they in whole lines.
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

// Lays the component's scratch out in the arena and fills the pass, but for the taps.
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

void fill_absent(const ResampleGeometry& geometry, const TensorSpec& spec, const Channels& channels, void* out) {
    switch (spec.type) {
        case TensorType::float32: return fill_constant(geometry, spec, channels, to_float, out);
        case TensorType::float16: return fill_constant(geometry, spec, channels, to_half, out);
        case TensorType::bfloat16: return fill_constant(geometry, spec, channels, to_bfloat16, out);
        case TensorType::int8: return fill_constant(geometry, spec, channels, to_int8, out);
    }
}

}  // namespace

Status check_color(const Header& header, bool luma_only) {
    const char* message = nullptr;
    switch (header.color) {
        case ColorKind::grey:
        case ColorKind::ycbcr: break;
        case ColorKind::rgb: message = "a frequency tensor needs a YCbCr or grey image; this one is RGB"; break;
        case ColorKind::cmyk: message = "a frequency tensor needs a YCbCr or grey image; this one is CMYK"; break;
        case ColorKind::ycck:
            if (!luma_only)
                message =
                    "a frequency tensor needs a YCbCr or grey image; this one is YCCK, which can give luma channels "
                    "only";
            break;
        case ColorKind::unknown:
            message = "a frequency tensor needs a YCbCr or grey image; the colour of this one is unknown";
            break;
    }
    return message ? unsupported("SOF", header.frame_offset_bytes, message, "") : Status();
}

bool takes_luma_only(const TensorSpec& spec) {
    return std::all_of(spec.channels, spec.channels + spec.channel_count,
                       [](uint16_t channel) { return channel < 64; });
}

void resize_whole_box(ResampleGeometry& geometry, uint32_t height, uint32_t width) {
    geometry.window_top = geometry.window_left = 0;
    geometry.resized_height = geometry.window_height = height;
    geometry.resized_width = geometry.window_width = width;
    geometry.output_height = (height + 7) / 8 * 8;
    geometry.output_width = (width + 7) / 8 * 8;
}

double grey_level(const Header& header) { return std::ldexp(1.0, 8 - header.precision); }

ResampleGeometry upright(const Header& header, ResampleGeometry geometry) {
    // Upright = flips of the transposed, or not transposed, stored image.
    const uint8_t orientation = header.orientation;
    const bool horizontal = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    const bool vertical = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    geometry.transpose = is_transposed(orientation);
    const Size image = image_size(header, geometry.transpose);
    // A box or window that is not inside wraps around, and check_geometry() refuses it.
    if (horizontal) {
        geometry.left = image.width - geometry.left - geometry.width;
        geometry.window_left = geometry.resized_width - geometry.window_left - geometry.window_width;
    }
    if (vertical) {
        geometry.top = image.height - geometry.top - geometry.height;
        geometry.window_top = geometry.resized_height - geometry.window_top - geometry.window_height;
    }
    geometry.horizontal_flip ^= horizontal;
    geometry.vertical_flip ^= vertical;
    return geometry;
}

Status check_geometry(const Header& header, const ResampleGeometry& geometry) {
    const Size image = image_size(header, geometry.transpose);
    if (geometry.height == 0 || geometry.width == 0) return refuse("the box is empty");
    if (uint64_t(geometry.top) + geometry.height > image.height)
        return refuse("the box ends below the image's last row, {}", image.height);
    if (uint64_t(geometry.left) + geometry.width > image.width)
        return refuse("the box ends right of the image's last column, {}", image.width);
    if (std::max(geometry.resized_height, geometry.resized_width) > max_resized_size)
        return refuse("the image is resized to more than {} pixels", max_resized_size);
    if (geometry.window_height == 0 || geometry.window_width == 0) return refuse("the window is empty");
    if (uint64_t(geometry.window_top) + geometry.window_height > geometry.resized_height)
        return refuse("the window ends below the resized image's last row, {}", geometry.resized_height);
    if (uint64_t(geometry.window_left) + geometry.window_width > geometry.resized_width)
        return refuse("the window ends right of the resized image's last column, {}", geometry.resized_width);
    for (const uint32_t size : {geometry.output_height, geometry.output_width}) {
        if (size == 0 || size % 8 != 0 || size > max_output_size)
            return refuse("output size {} is not a multiple of 8 up to 65536", size);
    }
    if (geometry.output_height < geometry.window_height || geometry.output_width < geometry.window_width)
        return refuse("the output is smaller than the window");
    return {};
}

uint32_t mcu_rows_needed(const Header& header, const ResampleGeometry& geometry) {
    uint32_t rows = 0;
    for (int c = 0; c < header.component_count; ++c) {
        const SampleRange range = source_range(make_axis(header, geometry, c, !geometry.transpose));
        const uint32_t block_rows = (range.end + 7) / 8;
        const uint32_t in_mcu = mcu_height(header, c);
        rows = std::max(rows, (block_rows + in_mcu - 1) / in_mcu);
    }
    return rows;
}

BlockRange blocks_needed(const Header& header, const ResampleGeometry& geometry, int component) {
    const SampleRange rows = source_range(make_axis(header, geometry, component, !geometry.transpose));
    const SampleRange columns = source_range(make_axis(header, geometry, component, geometry.transpose));
    return {rows.begin / 8, (rows.end + 7) / 8, columns.begin / 8, (columns.end + 7) / 8};
}

// Of a component's plane, as Output has it.
static uint32_t plane_row_blocks(const Header& header, const ResampleGeometry& geometry, int component,
                                 bool needed_only) {
    if (!needed_only) return header.components[component].blocks_wide;
    const BlockRange needed = blocks_needed(header, geometry, component);
    return needed.column_end - needed.column_begin;
}

static constexpr bool every_component[max_components] = {true, true, true, true};

Resampler::~Resampler() {
    std::free(scratch_);
    delete[] reducers_;
    delete[] grids_;
}

Status Resampler::resample(const Header& header, const int16_t* const planes[], const uint16_t (*tables)[64],
                           const ResampleGeometry& geometry, const TensorSpec& spec, void* out, bool needed_only) {
    const Status status = check_geometry(header, geometry);
    if (!status.ok()) return status;
    std::fill_n(reduced_, max_components, false);
    return run(header, planes, tables, geometry, spec, every_component, out, needed_only);
}

bool is_subsampled(const Header& header, int component) {
    const Component& c = header.components[component];
    return c.vertical_sampling_factor != header.max_vertical_sampling_factor ||
           c.horizontal_sampling_factor != header.max_horizontal_sampling_factor;
}

Status Resampler::upsample(const Header& header, const int16_t* const planes[], const uint16_t (*tables)[64],
                           ChromaResampling chroma, const TensorSpec& spec, void* out) {
    if (chroma == ChromaResampling::direct) return refuse("whole images have no direct chroma");
    bool wanted[max_components] = {};
    bool any = false;
    for (int c = 0; c < header.component_count; ++c) any |= wanted[c] = is_subsampled(header, c);
    if (!any) return check_spec(spec);
    // The box reaches up to 7 pixels beyond the image, to the end of its last blocks. A component of full resolution along an
    // axis has samples there; of any other the taps repeat its last sample.
    ResampleGeometry geometry;
    geometry.height = (header.height + 7) / 8 * 8;
    geometry.width = (header.width + 7) / 8 * 8;
    resize_whole_box(geometry, geometry.height, geometry.width);
    geometry.chroma = chroma;
    return run(header, planes, tables, geometry, spec, wanted, out, false);
}

bool Resampler::takes_rows(const Header& header, const ResampleGeometry& geometry, const TensorSpec& spec) {
    bool any = false;
    for (uint32_t k = 0; k < spec.channel_count; ++k) {
        const int c = spec.channels[k] / 64;
        if (c >= header.component_count) continue;
        any = true;
        if (!reduction_pays(make_axis(header, geometry, c, true), make_axis(header, geometry, c, false))) return false;
    }
    return any;
}

// `plane` holds the whole component, or the rows of Output::held_mcu_rows. False: no memory.
bool Resampler::begin_reduction(const Header& header, const int16_t* plane, uint32_t held_mcu_rows,
                                const uint16_t* table, int component, const ResampleGeometry& geometry,
                                bool needed_only) {
    if (!reducers_) reducers_ = new (std::nothrow) Reducer[max_components];
    if (!reducers_) return false;
    // Of the stored image. Its reduced image is flipped and transposed when it is read.
    const Axis rows = make_axis(header, geometry, component, !geometry.transpose);
    const Axis columns = make_axis(header, geometry, component, geometry.transpose);
    const Component& c = header.components[component];
    const uint32_t held = held_mcu_rows ? held_mcu_rows * mcu_height(header, component) : c.blocks_high;
    return reducers_[component].begin(plane, plane_row_blocks(header, geometry, component, needed_only), held, table,
                                      rows, columns);
}

Status Resampler::begin_rows(const Header& header, const Output& output, const ResampleGeometry& geometry,
                             const TensorSpec& spec) {
    std::fill_n(reduced_, max_components, false);
    for (uint32_t k = 0; k < spec.channel_count; ++k) {
        const int c = spec.channels[k] / 64;
        if (c >= header.component_count || reduced_[c]) continue;
        if (!begin_reduction(header, output.planes[c], output.held_mcu_rows, output.quantization_tables[c], c, geometry,
                             false))
            return no_memory();
        reduced_[c] = true;
    }
    return {};
}

void Resampler::add_rows(int component, uint32_t block_row_end) {
    if (reduced_[component]) reducers_[component].add(block_row_end);
}

Status Resampler::finish_rows(const Header& header, const ResampleGeometry& geometry, const TensorSpec& spec,
                              void* out) {
    const int16_t* const no_planes[max_components] = {};
    const Output nothing;
    return run(header, no_planes, nothing.quantization_tables, geometry, spec, every_component, out, false);
}

Status Resampler::run(const Header& header, const int16_t* const planes[], const uint16_t (*tables)[64],
                      const ResampleGeometry& geometry, const TensorSpec& spec, const bool (&wanted)[max_components],
                      void* out, bool needed_only) {
    Status status = check_spec(spec);
    if (!status.ok()) return status;

    Channels channels[max_components];
    for (int c = 0; c < max_components; ++c) {
        if (wanted[c]) channels[c] = channels_of(spec, c);
    }
    // Staged rows hold the channels of every component.
    const bool whole = std::all_of(wanted, wanted + max_components, [](bool one) { return one; });
    const size_t staged = whole ? staged_row(header, geometry, spec, channels, out) : 0;

    Axis horizontal[max_components], vertical[max_components];
    uint32_t row_blocks[max_components] = {};
    const float* images[max_components] = {};
    size_t needed = 0;
    for (int c = 0; c < header.component_count; ++c) {
        if (channels[c].count == 0) continue;
        horizontal[c] = make_axis(header, geometry, c, false);
        vertical[c] = make_axis(header, geometry, c, true);
        row_blocks[c] = plane_row_blocks(header, geometry, c, needed_only);
        if (reduction_pays(vertical[c], horizontal[c])) {
            if (!reduced_[c]) {
                if (!begin_reduction(header, planes[c], 0, tables[c], c, geometry, needed_only)) return no_memory();
                reducers_[c].add(header.components[c].blocks_high);
            }
            images[c] = reducers_[c].image();
            vertical[c] = reduced_axis(vertical[c]);
            horizontal[c] = reduced_axis(horizontal[c]);
        }
        Arena measure{nullptr};
        AxisScratch(horizontal[c], measure);
        AxisScratch(vertical[c], measure);
        ResamplePass pass;
        float* dequantize;
        lay_out(geometry, spec, channels[c], horizontal[c], vertical[c], out, staged, row_blocks[c], measure, pass,
                dequantize);
        needed = staged ? needed + measure.used : std::max(needed, measure.used);
    }
    needed += staged * sizeof(float);
    if (needed > scratch_size_) {
        std::free(scratch_);
        scratch_ = static_cast<uint8_t*>(std::malloc(needed + 64));
        scratch_size_ = scratch_ ? needed : 0;
        if (!scratch_) return no_memory();
    }

    if (!grids_) grids_ = new (std::nothrow) GridTaps[2];
    if (!grids_) return no_memory();

    Arena arena{reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(scratch_) + 63) / 64 * 64)};
    float* const staging = staged ? arena.take<float>(staged) : nullptr;
    ResampleGeometry one_row = geometry;
    one_row.output_height = 8;
    TensorSpec floats = spec;  // of the staging
    floats.type = TensorType::float32;
    ResamplePass passes[max_components];
    uint32_t pass_count = 0;
    const uint32_t lanes = kernels().resample->lanes;
    const Axis* made_horizontal = nullptr;  // the axes of the taps
    const Axis* made_vertical = nullptr;
    Taps horizontal_taps, vertical_taps;
    for (int c = 0; c < max_components; ++c) {
        if (channels[c].count == 0) continue;
        if (c >= header.component_count) {
            staged ? fill_absent(one_row, floats, channels[c], staging) : fill_absent(geometry, spec, channels[c], out);
            continue;
        }
        if (!staged) arena.used = 0;
        AxisScratch horizontal_scratch(horizontal[c], arena);
        AxisScratch vertical_scratch(vertical[c], arena);
        // Cb and Cr share theirs. The horizontal taps come first in the scratch, so both must be the same to be kept.
        if (!made_horizontal || !(*made_horizontal == horizontal[c] && *made_vertical == vertical[c])) {
            horizontal_taps = horizontal_scratch.taps;
            vertical_taps = vertical_scratch.taps;
            if (!grids_[0].make_taps(horizontal[c], horizontal_taps)) return no_memory();
            const uint32_t first_column = source_range(horizontal[c]).begin / 8 * 8;
            for (uint32_t o = 0; o < geometry.output_width; ++o)
                horizontal_taps.start[o] = lanes * (horizontal_taps.start[o] - first_column);
            if (!grids_[1].make_taps(vertical[c], vertical_taps)) return no_memory();
            const uint32_t first_row = source_range(vertical[c]).begin / 8 * 8;
            for (uint32_t o = 0; o < geometry.output_height; ++o) vertical_taps.start[o] -= first_row;
            made_horizontal = &horizontal[c];
            made_vertical = &vertical[c];
        }

        ResamplePass& pass = passes[pass_count];
        float* dequantize;
        lay_out(geometry, spec, channels[c], horizontal[c], vertical[c], out, staged, row_blocks[c], arena, pass,
                dequantize);
        fill_dequantization(tables[c], geometry.transpose, grey_level(header), dequantize);
        pass.dequantize = dequantize;
        pass.plane = planes[c];
        pass.image = images[c];
        pass.image_columns = geometry.transpose ? geometry.output_height : geometry.output_width;
        pass.horizontal_offset = horizontal_taps.start;
        pass.horizontal_weights = horizontal_taps.weights;
        pass.horizontal_count = horizontal_taps.count;
        pass.vertical_start = vertical_taps.start;
        pass.vertical_weights = vertical_taps.weights;
        pass.vertical_count = vertical_taps.count;
        pass.out = out;
        pass.staging = staging;
        if (staged) pass.stream = spec.stream;
        pass.ring_bands =
            ring_bands(vertical[c], vertical_taps, pass.row_group, lanes) + (makes_bands_ahead(pass) ? 1 : 0);
        if (staged) {
            ++pass_count;
        } else {
            kernels().resample->run_pass(pass);
        }
    }
    if (pass_count != 0) kernels().resample->run_staged(passes, pass_count);
    for (int c = 0; c < max_components; ++c) {
        if (images[c]) reducers_[c].trim();
    }
    return {};
}

}  // namespace jpegfreq
