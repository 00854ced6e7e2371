#include "resample_taps.h"

#include <algorithm>
#include <cmath>

namespace jpegfreq {

bool Axis::operator==(const Axis& other) const {
    return image_size == other.image_size && sampling == other.sampling && max_sampling == other.max_sampling &&
           begin == other.begin && size == other.size && output_size == other.output_size && flip == other.flip &&
           antialias == other.antialias && filter == other.filter && chroma == other.chroma;
}

namespace {

// T.81 A.1.1
uint32_t component_size(const Axis& axis) {
    const uint64_t scaled = uint64_t(axis.image_size) * axis.sampling;
    return uint32_t((scaled + axis.max_sampling - 1) / axis.max_sampling);
}

bool full_resolution(const Axis& axis) { return axis.sampling == axis.max_sampling; }

// One or two samples of the component that make one pixel of the enlarged component.
struct Enlarged {
    uint32_t first, second;
    double second_weight;
};

Enlarged enlarge(const Axis& axis, uint32_t pixel, uint32_t samples) {
    const int64_t twice_max = 2 * int64_t(axis.max_sampling);
    const int64_t centre = (2 * int64_t(pixel) + 1) * axis.sampling;  // of the pixel, in samples, times twice_max
    if (axis.chroma == ChromaResampling::replicate) {
        const uint32_t nearest = std::min(uint32_t(centre / twice_max), samples - 1);
        return {nearest, nearest, 0.0};
    }
    const int64_t position = centre - axis.max_sampling;  // distance from the centre of sample 0; at least -twice_max / 2
    const int64_t first = (position + twice_max) / twice_max - 1;
    const double second_weight = double(position - first * twice_max) / double(twice_max);
    const int64_t last = int64_t(samples) - 1;
    return {uint32_t(std::clamp<int64_t>(first, 0, last)), uint32_t(std::clamp<int64_t>(first + 1, 0, last)), second_weight};
}

// The grid on which the filter runs: pixels of the box, or the component's own samples.
struct Grid {
    double begin;      // where the box begins, in samples from `origin`
    double scale;      // samples an output sample
    uint32_t origin;   // absolute number of the first sample
    uint32_t samples;  // that the filter may use
    bool enlarged;     // a sample is a pixel, made of the component's samples by enlarge()
};

Grid make_grid(const Axis& axis) {
    if (full_resolution(axis)) return {0.0, double(axis.size) / axis.output_size, axis.begin, axis.size, false};
    if (axis.chroma != ChromaResampling::direct) return {0.0, double(axis.size) / axis.output_size, axis.begin, axis.size, true};
    const SampleRange range = source_range(axis);
    const double step = double(axis.sampling) / axis.max_sampling;
    // Relative to the range, for absolute coordinates would flip ties between taps.
    const double begin = double(axis.begin) * axis.sampling / axis.max_sampling - range.begin;
    return {begin, axis.size * step / axis.output_size, range.begin, range.end - range.begin, false};
}

double radius(Filter filter) { return filter == Filter::box ? 0.5 : filter == Filter::bilinear ? 1.0 : 2.0; }

// Keys' cubic. PyTorch and Pillow take a = -0.5 with antialias, PyTorch and OpenCV -0.75 without.
double cubic(double x, double a) {
    x = std::fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

double kernel(Filter filter, double x) {
    switch (filter) {
        case Filter::box: return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
        case Filter::bilinear: return std::max(0.0, 1.0 - std::fabs(x));
        case Filter::bicubic: return cubic(x, -0.5);
    }
    return 0.0;
}

uint32_t grid_taps(const Axis& axis, const Grid& grid) {
    const double stretch = axis.antialias ? std::max(grid.scale, 1.0) : 1.0;
    return uint32_t(std::ceil(2.0 * radius(axis.filter) * stretch)) + 2;
}

// Adds taps of one output sample up; `begin` is the first sample they can touch.
struct Accumulator {
    float* weights;
    uint32_t begin;
    uint32_t length = 0;

    void add(uint32_t sample, double weight) {
        const uint32_t index = sample - begin;
        while (length <= index) weights[length++] = 0.0f;
        weights[index] += float(weight);
    }
};

void add_tap(const Axis& axis, const Grid& grid, uint32_t samples, int64_t index, double weight, Accumulator& sum) {
    const uint32_t sample = grid.origin + uint32_t(index);
    if (!grid.enlarged) return sum.add(sample, weight);
    const Enlarged pixel = enlarge(axis, sample, samples);
    sum.add(pixel.first, weight * (1.0 - pixel.second_weight));
    if (pixel.second_weight != 0.0) sum.add(pixel.second, weight * pixel.second_weight);
}

}  // namespace

SampleRange source_range(const Axis& axis) {
    const uint32_t samples = component_size(axis);
    if (full_resolution(axis)) return {axis.begin, axis.begin + axis.size};
    if (axis.chroma != ChromaResampling::direct) {
        const Enlarged first = enlarge(axis, axis.begin, samples);
        const Enlarged last = enlarge(axis, axis.begin + axis.size - 1, samples);
        return {first.first, last.second + 1};
    }
    const uint64_t end = uint64_t(axis.begin + axis.size) * axis.sampling;
    return {uint32_t(uint64_t(axis.begin) * axis.sampling / axis.max_sampling),
            std::min(uint32_t((end + axis.max_sampling - 1) / axis.max_sampling), samples)};
}

uint32_t max_taps(const Axis& axis) {
    const Grid grid = make_grid(axis);
    uint32_t taps = grid_taps(axis, grid);
    // n neighbouring pixels lie within (n - 1) * sampling / max_sampling < n samples; each uses its sample and the next one.
    if (grid.enlarged) taps += 2;
    const SampleRange range = source_range(axis);
    return std::min(taps, range.end - range.begin);
}

void make_taps(const Axis& axis, float* work, uint32_t* lengths, Taps& taps) {
    const Grid grid = make_grid(axis);
    const SampleRange range = source_range(axis);
    const uint32_t samples = component_size(axis);
    const uint32_t limit = max_taps(axis);
    const double stretch = axis.antialias ? std::max(grid.scale, 1.0) : 1.0;
    const double support = radius(axis.filter) * stretch;
    const double inverse_stretch = 1.0 / stretch;
    const int64_t last = int64_t(grid.samples) - 1;
    const bool clamp_edges = axis.filter == Filter::bicubic && !axis.antialias;

    taps.count = 1;
    for (uint32_t o = 0; o < axis.output_size; ++o) {
        const uint32_t slot = axis.flip ? axis.output_size - 1 - o : o;
        const double centre = grid.begin + (o + 0.5) * grid.scale;
        int64_t begin = std::max(int64_t(centre - support + 0.5), int64_t(0));
        int64_t end = std::min(int64_t(centre + support + 0.5), int64_t(grid.samples));
        double total = 0.0;
        if (clamp_edges) {  // PyTorch repeats the border here, where it shortens the filter with antialias
            begin = int64_t(std::floor(centre - 0.5)) - 1;
            end = begin + 4;
            total = 1.0;
        } else {
            for (int64_t j = begin; j < end; ++j) total += kernel(axis.filter, (j - centre + 0.5) * inverse_stretch);
            if (total == 0.0) {  // rounding put the only sample of a box just outside it
                begin = std::clamp(int64_t(centre), int64_t(0), last);
                end = begin;
            }
        }
        Accumulator sum{work + size_t(o) * limit, 0};
        const uint32_t first = grid.origin + uint32_t(std::clamp(begin, int64_t(0), last));
        sum.begin = grid.enlarged ? enlarge(axis, first, samples).first : first;
        if (total == 0.0) add_tap(axis, grid, samples, begin, 1.0, sum);
        for (int64_t j = begin; j < end; ++j) {
            const double x = (j - centre + 0.5) * inverse_stretch;
            const double weight = clamp_edges ? cubic(x, -0.75) : kernel(axis.filter, x) / total;
            add_tap(axis, grid, samples, std::clamp(j, int64_t(0), last), weight, sum);
        }
        taps.start[slot] = sum.begin;
        lengths[o] = sum.length;
        taps.count = std::max(taps.count, sum.length);
    }
    for (uint32_t o = 0; o < axis.output_size; ++o) {
        const uint32_t slot = axis.flip ? axis.output_size - 1 - o : o;
        // Every slot reads `count` samples: move its start back where they would pass the end of the range.
        const uint32_t start = std::min(taps.start[slot], range.end - taps.count);
        const uint32_t lead = taps.start[slot] - start;
        float* weights = taps.weights + size_t(slot) * taps.count;
        std::fill(weights, weights + taps.count, 0.0f);
        std::copy(work + size_t(o) * limit, work + size_t(o) * limit + lengths[o], weights + lead);
        taps.start[slot] = start;
    }
}

}  // namespace jpegfreq
