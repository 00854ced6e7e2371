#include "jpegfreq_resample.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>

#include "dispatch.h"
#include "resample_geometry.h"
#include "resample_layout.h"
#include "status.h"

namespace jpegfreq {

namespace {

Status no_memory() {
    Status status = refuse_resample("no memory for the scratch");
    status.code = Code::out_of_memory;
    return status;
}

Status check_spec(const TensorSpec& spec) {
    if (spec.channel_count == 0 || spec.channel_count > max_tensor_channels)
        return refuse_resample("{} channels", spec.channel_count);
    bool seen[max_tensor_channels] = {};
    for (uint32_t k = 0; k < spec.channel_count; ++k) {
        const uint16_t channel = spec.channels[k];
        if (channel >= max_tensor_channels) return refuse_resample("there is no channel {}", channel);
        if (seen[channel]) return refuse_resample("channel {} is named twice", channel);
        seen[channel] = true;
    }
    return {};
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

double grey_level(const Header& header) { return std::ldexp(1.0, 8 - header.precision); }

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
    if (chroma == ChromaResampling::direct) return refuse_resample("whole images have no direct chroma");
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

// The scratch, of `size` bytes from a cache line on, and the taps' grids. False: no memory.
bool Resampler::reserve(size_t size) {
    if (size > scratch_size_) {
        std::free(scratch_);
        scratch_ = static_cast<uint8_t*>(std::malloc(size + 64));
        scratch_size_ = scratch_ ? size : 0;
    }
    if (!grids_) grids_ = new (std::nothrow) GridTaps[2];
    return scratch_size_ >= size && grids_;
}

// Taps that count from the first block of the pass, in units of `stride` floats. False: no memory.
static bool make_taps_of_pass(GridTaps& grid, const Axis& axis, uint32_t stride, Taps& taps) {
    if (!grid.make_taps(axis, taps)) return false;
    const uint32_t first = source_range(axis).begin / 8 * 8;
    for (uint32_t o = 0; o < axis.output_size; ++o) taps.start[o] = stride * (taps.start[o] - first);
    return true;
}

static void set_taps(const Taps& horizontal, const Taps& vertical, ResamplePass& pass) {
    pass.horizontal_offset = horizontal.start;
    pass.horizontal_weights = horizontal.weights;
    pass.horizontal_count = horizontal.count;
    pass.vertical_start = vertical.start;
    pass.vertical_weights = vertical.weights;
    pass.vertical_count = vertical.count;
}

// The staging holds one block row of floats.
static void stage_absent(ResampleGeometry geometry, TensorSpec spec, const Channels& channels, float* staging) {
    geometry.output_height = 8;
    spec.type = TensorType::float32;
    fill_absent(geometry, spec, channels, staging);
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
    if (!reserve(needed + staged * sizeof(float))) return no_memory();

    Arena arena{reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(scratch_) + 63) / 64 * 64)};
    float* const staging = staged ? arena.take<float>(staged) : nullptr;
    ResamplePass passes[max_components];
    uint32_t pass_count = 0;
    const uint32_t lanes = kernels().resample->lanes;
    const Axis* made_horizontal = nullptr;  // the axes of the taps
    const Axis* made_vertical = nullptr;
    Taps horizontal_taps, vertical_taps;
    for (int c = 0; c < max_components; ++c) {
        if (channels[c].count == 0) continue;
        if (c >= header.component_count) {
            staged ? stage_absent(geometry, spec, channels[c], staging) : fill_absent(geometry, spec, channels[c], out);
            continue;
        }
        if (!staged) arena.used = 0;
        AxisScratch horizontal_scratch(horizontal[c], arena);
        AxisScratch vertical_scratch(vertical[c], arena);
        // Cb and Cr share theirs. The horizontal taps come first in the scratch, so both must be the same to be kept.
        if (!made_horizontal || !(*made_horizontal == horizontal[c] && *made_vertical == vertical[c])) {
            horizontal_taps = horizontal_scratch.taps;
            vertical_taps = vertical_scratch.taps;
            // The bands of horizontal samples have `lanes` rows.
            if (!make_taps_of_pass(grids_[0], horizontal[c], lanes, horizontal_taps)) return no_memory();
            if (!make_taps_of_pass(grids_[1], vertical[c], 1, vertical_taps)) return no_memory();
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
        set_taps(horizontal_taps, vertical_taps, pass);
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
