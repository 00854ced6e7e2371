// How a component's pass is laid out: its channels, whether it is staged and streamed, the form of its rows and its scratch.
#pragma once

#include "jpegfreq_resample.h"
#include "resample_pass.h"
#include "resample_taps.h"

namespace jpegfreq {

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

// The component's channels, in the order of the output.
struct Channels {
    uint32_t count = 0;
    uint8_t frequencies[64];
    uint32_t positions[64];
    alignas(64) float scale[64];
    alignas(64) float shift[64];
};

Channels channels_of(const TensorSpec& spec, int component);

// The quantization table with the scale factors of the inverse DCT, by 8 * v + u.
void fill_dequantization(const uint16_t* table, bool transpose, double grey_level, float* dequantize);

// Bands that the taps of `row_group` output block rows touch at most.
uint32_t ring_bands(const Axis& axis, const Taps& taps, uint32_t row_group, uint32_t lanes);

// See Note [Pieces] of resample_bands.h. Other passes keep the ring as small as they can.
bool makes_bands_ahead(const ResamplePass& pass);

// Channels last where that is not so: every component would write parts of lines, all over the output. Floats of a block row
// that all components fill together, so that it is written in whole cache lines; else 0. Whole blocks gain by it only if they would
// go out with non-temporal stores, were they in whole lines.
size_t staged_row(const Header& header, const ResampleGeometry& geometry, const TensorSpec& spec,
                  const Channels (&channels)[max_components], const void* out);

// Lays the component's scratch out in the arena and fills the pass, but for the taps.
void lay_out(const ResampleGeometry& geometry, const TensorSpec& spec, const Channels& channels, const Axis& horizontal,
             const Axis& vertical, const void* out, bool staged, uint32_t row_blocks, Arena& arena, ResamplePass& pass,
             float*& dequantize);

// Fills the channels of a component that the image does not have.
void fill_absent(const ResampleGeometry& geometry, const TensorSpec& spec, const Channels& channels, void* out);

}  // namespace jpegfreq
