// The taps of one axis: which samples of a component make each output sample, and with what weights.
#pragma once

#include "buffer.h"
#include "jpegfreq_resample.h"

namespace jpegfreq {

struct Axis {
    uint32_t image_size = 0;       // pixels of the full image along this axis
    uint32_t sampling = 1;         // H_i or V_i
    uint32_t max_sampling = 1;     // H_max or V_max
    uint32_t begin = 0, size = 0;  // the box, which is resized to `resized_size`; the filter reads nothing else
    uint32_t resized_size = 0;
    uint32_t window_begin = 0, window_size = 0;  // of the resized box
    // At least window_size. Further slots continue the window into the resized box around it, whose edge is repeated.
    uint32_t output_size = 0;
    bool flip = false;
    bool antialias = true;
    Filter filter = Filter::bilinear;
    ChromaResampling chroma = ChromaResampling::fancy;

    bool operator==(const Axis& other) const;
};

struct SampleRange {
    uint32_t begin = 0, end = 0;
};

// The component samples that the taps reach: they never leave it.
SampleRange source_range(const Axis& axis);

// Upper bound of the taps of one output sample.
uint32_t max_taps(const Axis& axis);

// Floats after the weights that make_taps may overwrite.
constexpr uint32_t taps_over = 3;

// Output slot o is the sum over t < count of weights[o * count + t] * sample[start[o] + t]. All slots have the same count;
// where fewer samples matter the other weights are zero, and their samples still lie inside source_range().
struct Taps {
    uint32_t* start = nullptr;  // [output_size]
    float* weights = nullptr;   // [output_size * max_taps + taps_over]
    uint32_t count = 0;
};

// Makes taps. Keeps what the filter takes of the pixels, which all enlarged components and those of full resolution share.
class GridTaps {
public:
    // Fills start, weights and count. False: no memory.
    bool make_taps(const Axis& axis, Taps& taps);
    // Gives back what large images needed.
    void trim(size_t bytes);

private:
    bool make(const Axis& axis);
    void copy(const Axis& axis, Taps& taps) const;
    bool enlarge(const Axis& axis, Taps& taps);

    Axis axis_;
    bool made_ = false;
    Buffer<uint32_t> starts_, lengths_;  // of each output sample's taps on the grid
    Buffer<float> weights_;              // stride_ of each
    uint32_t stride_ = 0;
    Buffer<float> enlarged_;
};

}  // namespace jpegfreq
