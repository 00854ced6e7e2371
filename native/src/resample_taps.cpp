#include "resample_taps.h"

#include <algorithm>
#include <cmath>

namespace jpegfreq {

bool Axis::operator==(const Axis& other) const {
    return image_size == other.image_size && sampling == other.sampling && max_sampling == other.max_sampling &&
           begin == other.begin && size == other.size && resized_size == other.resized_size &&
           window_begin == other.window_begin && window_size == other.window_size && output_size == other.output_size &&
           flip == other.flip && antialias == other.antialias && filter == other.filter && chroma == other.chroma;
}

namespace {

// T.81 A.1.1
uint32_t component_size(const Axis& axis) {
    const uint64_t scaled = uint64_t(axis.image_size) * axis.sampling;
    return uint32_t((scaled + axis.max_sampling - 1) / axis.max_sampling);
}

bool full_resolution(const Axis& axis) { return axis.sampling == axis.max_sampling; }

// Pixels of the enlarged component, each made of one or two of the component's samples.
class Enlarger {
public:
    // Position of a pixel in samples, times twice_max, divided by twice_max: quotient, remainder.
    struct Pixel {
        uint32_t second, part;
    };

    explicit Enlarger(const Axis& axis)
        : last_(component_size(axis) - 1),
          twice_max_(2 * axis.max_sampling),
          reciprocal_((uint64_t(1) << 32) / twice_max_ + 1),
          step_(2 * axis.sampling),
          replicates_(axis.chroma == ChromaResampling::replicate),
          unit_(replicates_ ? 0.0f : 1.0f / float(twice_max_)),
          origin_(axis.sampling + (replicates_ ? twice_max_ : axis.max_sampling)) {}

    // Numbers stay below 2^20: a side has at most 65535 pixels, a sampling factor is at most 4 (T.81 B.2.2). So the quotient is
    // exact: the reciprocal is too large by at most 2^-32, which comes to less than 2^-12 of a quotient's smallest step of 1/8.
    Pixel at(uint32_t pixel) const {
        const uint32_t position = pixel * step_ + origin_;
        const uint32_t second = uint32_t(position * reciprocal_ >> 32);
        return {second, position - second * twice_max_};
    }
    uint32_t first(Pixel pixel) const { return std::min(pixel.second - (pixel.second != 0), last_); }
    uint32_t second(Pixel pixel) const { return std::min(pixel.second - replicates_, last_); }
    float second_weight(Pixel pixel) const { return float(pixel.part) * unit_; }
    Pixel next(Pixel pixel) const {
        // A step is at most 1. Without a branch, for whether the next sample begins is hard to predict.
        const uint32_t part = pixel.part + step_;
        const uint32_t whole = part >= twice_max_;
        return {pixel.second + whole, part - (twice_max_ & -whole)};
    }

private:
    uint32_t last_, twice_max_, step_;
    uint64_t reciprocal_;  // of twice_max, times 2^32
    uint32_t replicates_;  // 1: all of a pixel comes from its first sample, which is the second one, too
    float unit_;           // 0 for replication
    // Of the centre of pixel 0, from the centre of the sample before sample 0 (for replication: from that sample's beginning),
    // in samples, times twice_max.
    uint32_t origin_;
};

// The grid on which the filter runs: pixels of the box, or the component's own samples.
struct Grid {
    double begin;      // where the box begins, in samples from `origin`
    double scale;      // samples per sample of the resized box
    uint32_t origin;   // absolute number of the first sample
    uint32_t samples;  // that the filter may use
    bool enlarged;     // a sample is a pixel, made of the component's samples by an Enlarger
};

Grid make_grid(const Axis& axis) {
    if (full_resolution(axis)) return {0.0, double(axis.size) / axis.resized_size, axis.begin, axis.size, false};
    if (axis.chroma != ChromaResampling::direct)
        return {0.0, double(axis.size) / axis.resized_size, axis.begin, axis.size, true};
    const uint64_t box_end = uint64_t(axis.begin + axis.size) * axis.sampling;
    const uint32_t first = uint32_t(uint64_t(axis.begin) * axis.sampling / axis.max_sampling);
    const uint32_t end =
        std::min(uint32_t((box_end + axis.max_sampling - 1) / axis.max_sampling), component_size(axis));
    const double step = double(axis.sampling) / axis.max_sampling;
    // Relative to the first sample, for absolute coordinates would flip ties between taps.
    const double begin = double(axis.begin) * axis.sampling / axis.max_sampling - first;
    return {begin, axis.size * step / axis.resized_size, first, end - first, false};
}

double radius(Filter filter) { return filter == Filter::box ? 0.5 : filter == Filter::bilinear ? 1.0 : 2.0; }

// Keys' cubic. PyTorch and Pillow take a = -0.5 with antialias, PyTorch and OpenCV -0.75 without.
double cubic(double x, double a) {
    x = std::fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

template <Filter filter>
double kernel(double x) {
    if (filter == Filter::box) return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
    if (filter == Filter::bilinear) {  // the larger of 1 - |x| and 0, without a branch, which would be hard to predict
        const double inside = 1.0 - std::fabs(x);
        return 0.5 * (inside + std::fabs(inside));
    }
    return cubic(x, -0.5);
}

double stretch_of(const Axis& axis, const Grid& grid) { return axis.antialias ? std::max(grid.scale, 1.0) : 1.0; }

uint32_t grid_taps(const Axis& axis, const Grid& grid) {
    return uint32_t(std::ceil(2.0 * radius(axis.filter) * stretch_of(axis, grid))) + 2;
}

// Which sample of the resized box an output slot holds.
uint32_t position_of(const Axis& axis, uint32_t slot) {
    const int64_t from_begin = axis.flip ? int64_t(axis.window_size) - 1 - slot : int64_t(slot);
    return uint32_t(std::clamp(axis.window_begin + from_begin, int64_t(0), int64_t(axis.resized_size) - 1));
}

// The centre of a sample of the resized box, on the grid.
double centre_of(const Grid& grid, uint32_t position) { return grid.begin + (position + 0.5) * grid.scale; }

// PyTorch repeats the border here; with antialias, and for other filters, it shortens the filter.
bool repeats_border(const Axis& axis) { return axis.filter == Filter::bicubic && !axis.antialias; }

// The grid's samples [begin, end) of a filter. Those outside the grid, where the border is repeated, stand for its ends.
struct Reach {
    int64_t begin, end;
};

Reach reach_of(const Grid& grid, double support, double centre) {
    return {std::max(int64_t(centre - support + 0.5), int64_t(0)),
            std::min(int64_t(centre + support + 0.5), int64_t(grid.samples))};
}

Reach reach_of(const Axis& axis, const Grid& grid, double stretch, double centre) {
    if (repeats_border(axis)) {
        const int64_t begin = int64_t(std::floor(centre - 0.5)) - 1;
        return {begin, begin + 4};
    }
    return reach_of(grid, radius(axis.filter) * stretch, centre);
}

// What every output sample of an axis needs.
struct Plan {
    const Axis& axis;
    Grid grid;
    uint32_t limit;  // of an output sample's taps on the grid
    double stretch, inverse_stretch;

    explicit Plan(const Axis& axis)
        : axis(axis),
          grid(make_grid(axis)),
          limit(std::min(grid_taps(axis, grid), grid.samples)),
          stretch(stretch_of(axis, grid)),
          inverse_stretch(1.0 / stretch) {}
};

// The taps of one output sample: their first sample and how many.
struct TapRun {
    uint32_t start, length;
};

// Adds weight(j), for the grid's samples [begin, end), each clamped to [0, grid.samples), to `weights`, which are zero.
template <class Weight>
TapRun place_taps(const Plan& plan, int64_t begin, int64_t end, Weight weight, float* weights) {
    const int64_t last = int64_t(plan.grid.samples) - 1;
    const uint32_t first = uint32_t(std::clamp(begin, int64_t(0), last));
    TapRun run{plan.grid.origin + first, 0};
    for (int64_t j = begin; j < end; ++j) {
        const uint32_t index = uint32_t(std::clamp(j, int64_t(0), last)) - first;
        weights[index] += float(weight(j));
        run.length = index + 1;
    }
    return run;
}

// Writes whole groups of four weights, so that no branch depends on how many taps there are, up to four.
template <Filter filter>
TapRun filtered(const Plan& plan, uint32_t position, float* weights) {
    const double centre = centre_of(plan.grid, position);
    const auto [begin, end] = reach_of(plan.grid, radius(filter) * plan.stretch, centre);
    const uint32_t length = uint32_t(end - begin);
    const double first = double(begin) - centre + 0.5;
    double total = 0.0;
    for (uint32_t t = 0; t < length; t += 4) {
        static constexpr double kept[8] = {1.0, 1.0, 1.0, 1.0};
        const double* keep = kept + 4 - std::min(length - t, 4u);
        double values[4];
        for (int k = 0; k < 4; ++k)
            values[k] = keep[k] * kernel<filter>((first + double(t) + k) * plan.inverse_stretch);
        for (int k = 0; k < 4; ++k) weights[t + k] = float(values[k]);
        total += (values[0] + values[1]) + (values[2] + values[3]);
    }
    if (total == 0.0) {  // rounding put the only sample of a box just outside it
        return place_taps(plan, int64_t(centre), int64_t(centre) + 1, [](int64_t) { return 1.0; }, weights);
    }
    const float factor = float(1.0 / total);
    for (uint32_t t = 0; t < length; t += 4) {
        float scaled[4];
        for (int k = 0; k < 4; ++k) scaled[k] = weights[t + k] * factor;
        for (int k = 0; k < 4; ++k) weights[t + k] = scaled[k];
    }
    return {plan.grid.origin + uint32_t(begin), length};
}

// Bilinear taps that are not stretched are linear interpolation between two of the grid's samples, with the border repeated.
TapRun interpolated(const Plan& plan, uint32_t position, float* weights) {
    const double clamped = std::clamp(centre_of(plan.grid, position) - 0.5, 0.0, double(plan.grid.samples - 1));
    const uint32_t first = uint32_t(clamped);
    const double second_weight = clamped - first;
    weights[0] = float(1.0 - second_weight);
    weights[1] = float(second_weight);
    return {plan.grid.origin + first, 1u + (second_weight != 0.0)};
}

TapRun with_border_repeated(const Plan& plan, uint32_t position, float* weights) {
    const double centre = centre_of(plan.grid, position);
    const auto [begin, end] = reach_of(plan.axis, plan.grid, plan.stretch, centre);
    return place_taps(plan, begin, end, [&](int64_t j) { return cubic(j - centre + 0.5, -0.75); }, weights);
}

}  // namespace

SampleRange source_range(const Axis& axis) {
    const Grid grid = make_grid(axis);
    const double stretch = stretch_of(axis, grid);
    const uint32_t slots[2] = {position_of(axis, 0), position_of(axis, axis.output_size - 1)};
    // The reach of every position between them lies between theirs: all of its arithmetic is monotonic.
    const Reach first = reach_of(axis, grid, stretch, centre_of(grid, std::min(slots[0], slots[1])));
    const Reach last = reach_of(axis, grid, stretch, centre_of(grid, std::max(slots[0], slots[1])));
    const int64_t samples = grid.samples;
    const uint32_t begin = grid.origin + uint32_t(std::clamp(first.begin, int64_t(0), samples - 1));
    const uint32_t end = grid.origin + uint32_t(std::clamp(last.end, int64_t(begin) - grid.origin + 1, samples));
    if (!grid.enlarged) return {begin, end};
    const Enlarger enlarger(axis);
    return {enlarger.first(enlarger.at(begin)), enlarger.second(enlarger.at(end - 1)) + 1};
}

uint32_t max_taps(const Axis& axis) {
    const Grid grid = make_grid(axis);
    uint32_t taps = grid_taps(axis, grid);
    // n neighbouring pixels lie within (n - 1) * sampling / max_sampling < n samples; each uses its sample and the next one.
    if (grid.enlarged) taps += 2;
    const SampleRange range = source_range(axis);
    return std::min(taps, range.end - range.begin);
}

namespace {

// The taps of an enlarged component from those of its pixels.
TapRun enlarged_run(const Enlarger& enlarger, TapRun pixels, const float* values, float* weights, uint32_t limit) {
    std::fill_n(weights, limit, 0.0f);
    Enlarger::Pixel pixel = enlarger.at(pixels.start);
    TapRun run{enlarger.first(pixel), 0};
    for (uint32_t t = 0; t < pixels.length; ++t, pixel = enlarger.next(pixel)) {
        const uint32_t second = enlarger.second(pixel) - run.start;
        weights[enlarger.first(pixel) - run.start] += values[t] * (1.0f - enlarger.second_weight(pixel));
        weights[second] += values[t] * enlarger.second_weight(pixel);
        run.length = second + 1;
    }
    return run;
}

// Note [Doubled]
// A component of half the resolution, interpolated linearly, is so common that its taps are computed without enlarged_run(),
// whose sums in memory wait for each other. Away from the border, pixel 2m is 1/4 of sample m - 1 and 3/4 of sample m, and pixel
// 2m + 1 is 3/4 of sample m and 1/4 of sample m + 1. So with v the weights of the pixels from an even one on and zeros before
// them, sample c of the run has the weight (v[2c - 3] + v[2c]) / 4 + (v[2c - 2] + v[2c - 1]) * 3 / 4. If the first pixel is odd,
// all indices are one more.
bool is_doubled(const Axis& axis) {
    return axis.max_sampling == 2 * axis.sampling && axis.chroma == ChromaResampling::fancy;
}

// Around every row of weights on the grid, for this formula.
constexpr uint32_t zeros_before = 3, zeros_after = 3;
// Floats after the last row that may be read, though not used, because weights are written four at a time.
constexpr uint32_t read_over = 8;

TapRun doubled_run(TapRun pixels) {
    const uint32_t start = (pixels.start - 1) / 2;
    return {start, (pixels.start + pixels.length) / 2 + 1 - start};
}

// No sample of the run is one that the border repeats.
bool doubles_inside(TapRun pixels, uint32_t samples) {
    return pixels.start != 0 && (pixels.start + pixels.length) / 2 < samples;
}

// The weights of a run's samples from 4 * group on.
using FourWeights = void (*)(const float* row, uint32_t group, float* to);

[[gnu::always_inline]] inline void copied(const float* row, uint32_t group, float* to) {
    float weights[4];  // read before any is written, so that compilers make one vector of them
    for (int k = 0; k < 4; ++k) weights[k] = row[4 * group + k];
    for (int k = 0; k < 4; ++k) to[k] = weights[k];
}
[[gnu::always_inline]] inline void doubled(const float* row, uint32_t group, float* to) {
    const float* v = row + 8 * group;
    float weights[4];
    for (int k = 0; k < 4; ++k) weights[k] = 0.25f * (v[2 * k] + v[2 * k + 3]) + 0.75f * (v[2 * k + 1] + v[2 * k + 2]);
    copied(weights, 0, to);
}

// Writes a slot's `count` weights, and up to three more floats after them.
template <FourWeights four_weights>
[[gnu::always_inline]] inline void write_slot(const float* row, uint32_t count, uint32_t end, uint32_t& start,
                                              float* to) {
    if (start + count > end) {
        // Every slot reads as many samples: move its start back where they would pass the end of the range.
        const uint32_t lead = start + count - end;
        std::fill_n(to, lead, 0.0f);
        start -= lead, to += lead, count -= lead;
    }
    four_weights(row, 0, to);
    for (uint32_t group = 1; 4 * group < count; ++group) four_weights(row, group, to + 4 * group);
}

// Fills the rows of weights of all slots on the grid. They lie `stride` apart and are zero before.
template <TapRun (*taps_of)(const Plan&, uint32_t, float*)>
void make_rows(const Plan& plan, uint32_t* starts, uint32_t* lengths, float* weights, size_t stride) {
    for (uint32_t slot = 0; slot < plan.axis.output_size; ++slot, weights += stride) {
        const TapRun run = taps_of(plan, position_of(plan.axis, slot), weights);
        starts[slot] = run.start;
        lengths[slot] = run.length;
    }
}

auto rows_maker(const Plan& plan) {
    if (repeats_border(plan.axis)) return make_rows<with_border_repeated>;
    switch (plan.axis.filter) {
        case Filter::box: return make_rows<filtered<Filter::box>>;
        case Filter::bicubic: return make_rows<filtered<Filter::bicubic>>;
        case Filter::bilinear: break;
    }
    return plan.stretch == 1.0 && plan.limit >= 2 ? make_rows<interpolated> : make_rows<filtered<Filter::bilinear>>;
}

}  // namespace

bool GridTaps::make(const Axis& axis) {
    if (made_ && axis == axis_) return true;
    made_ = false;
    const Plan plan(axis);
    stride_ = zeros_before + (plan.limit + 3) / 4 * 4 + zeros_after;
    const size_t size = size_t(axis.output_size) * stride_;
    if (!starts_.reserve(axis.output_size) || !lengths_.reserve(axis.output_size) ||
        !weights_.reserve(size + read_over))
        return false;
    std::fill_n(weights_.data(), size, 0.0f);
    rows_maker(plan)(plan, starts_.data(), lengths_.data(), weights_.data() + zeros_before, stride_);
    axis_ = axis;
    made_ = true;
    return true;
}

bool GridTaps::make_taps(const Axis& axis, Taps& taps) {
    Axis grid_axis = axis;
    const bool enlarged = make_grid(axis).enlarged;
    if (enlarged) grid_axis.sampling = grid_axis.max_sampling;
    if (!make(grid_axis)) return false;
    if (enlarged) return enlarge(axis, taps);
    copy(axis, taps);
    return true;
}

void GridTaps::copy(const Axis& axis, Taps& taps) const {
    const uint32_t count = std::max(1u, *std::max_element(lengths_.data(), lengths_.data() + axis.output_size));
    const uint32_t end = source_range(axis).end;
    std::copy_n(starts_.data(), axis.output_size, taps.start);
    taps.count = count;
    const float* row = weights_.data() + zeros_before;
    float* to = taps.weights;
    for (uint32_t slot = 0; slot < axis.output_size; ++slot, row += stride_, to += count)
        write_slot<copied>(row, count, end, taps.start[slot], to);
}

bool GridTaps::enlarge(const Axis& axis, Taps& taps) {
    const uint32_t limit = max_taps(axis);
    if (!enlarged_.reserve(size_t(axis.output_size) * limit + read_over)) return false;
    const bool can_double = is_doubled(axis);
    const uint32_t samples = component_size(axis);
    const Enlarger enlarger(axis);
    const float* row = weights_.data() + zeros_before;
    taps.count = 1;
    for (uint32_t slot = 0; slot < axis.output_size; ++slot, row += stride_) {
        const TapRun pixels{starts_[slot], lengths_[slot]};
        const TapRun run = can_double && doubles_inside(pixels, samples)
                               ? doubled_run(pixels)
                               : enlarged_run(enlarger, pixels, row, enlarged_.data() + size_t(slot) * limit, limit);
        taps.start[slot] = run.start;
        taps.count = std::max(taps.count, run.length);
    }
    const uint32_t end = source_range(axis).end, count = taps.count;
    row = weights_.data();
    float* to = taps.weights;
    for (uint32_t slot = 0; slot < axis.output_size; ++slot, row += stride_, to += count) {
        if (can_double && doubles_inside({starts_[slot], lengths_[slot]}, samples)) {
            write_slot<doubled>(row + starts_[slot] % 2, count, end, taps.start[slot], to);
        } else {
            write_slot<copied>(enlarged_.data() + size_t(slot) * limit, count, end, taps.start[slot], to);
        }
    }
    return true;
}

void GridTaps::trim(size_t bytes) {
    made_ = false;
    starts_.trim(bytes);
    lengths_.trim(bytes);
    weights_.trim(bytes);
    enlarged_.trim(bytes);
}

}  // namespace jpegfreq
