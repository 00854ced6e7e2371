// Boxes, sizes and formats drawn from the input's bytes: what an early stop decodes is enough, and every value is written.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "harness.h"
#include "jpegfreq_resample.h"

using namespace jpegfreq;

namespace {

// xorshift, started from the input.
class Draws {
public:
    explicit Draws(Bytes bytes) : state_(fuzz::hash(bytes)) {}
    uint32_t below(uint32_t bound) {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return uint32_t((state_ >> 20) % bound);
    }

private:
    uint64_t state_;
};

ResampleGeometry draw_geometry(Draws& draws, const Header& header) {
    ResampleGeometry geometry;
    const bool turned = is_transposed(header.orientation);
    const uint32_t height = turned ? header.width : header.height, width = turned ? header.height : header.width;
    geometry.height = 1 + draws.below(height);
    geometry.width = 1 + draws.below(width);
    // One in sixteen lies outside.
    const uint32_t outside = draws.below(16) == 0;
    geometry.top = draws.below(height - geometry.height + 1) + outside * height;
    geometry.left = draws.below(width - geometry.width + 1);
    resize_whole_box(geometry, 1 + draws.below(48), 1 + draws.below(160));
    if (draws.below(2) != 0) {  // a window of the resized box; one in sixteen lies outside
        geometry.window_height = 1 + draws.below(geometry.resized_height);
        geometry.window_width = 1 + draws.below(geometry.resized_width);
        geometry.window_top = draws.below(geometry.resized_height - geometry.window_height + 1);
        geometry.window_left = draws.below(geometry.resized_width - geometry.window_width + 1);
        geometry.window_left += (draws.below(16) == 0) * geometry.resized_width;
    }
    geometry.horizontal_flip = draws.below(2) != 0;
    geometry.vertical_flip = draws.below(2) != 0;
    geometry.antialias = draws.below(2) != 0;
    geometry.filter = static_cast<Filter>(draws.below(3));
    geometry.chroma = static_cast<ChromaResampling>(draws.below(3));
    return upright(header, geometry);
}

// The value of a finite number of 16 bits (IEEE 754 binary16).
double from_half(uint16_t bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double magnitude = exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
    return bits >> 15 ? -magnitude : magnitude;
}

double from_bfloat16(uint16_t bits) {
    const uint32_t wide = uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
}

// A tensor in a block of its own, so that a value written outside is seen; of values that no result has.
class Tensor {
public:
    Tensor(const TensorSpec& spec, const ResampleGeometry& geometry)
        : item_(spec.type == TensorType::float32 ? 4
                : spec.type == TensorType::int8  ? 1
                                                 : 2),
          size_(size_t(spec.channel_count) * (geometry.output_height / 8) * (geometry.output_width / 8) * item_),
          data_(std::aligned_alloc(64, (size_ + 63) / 64 * 64)) {
        fuzz::require(data_ != nullptr, "memory for a tensor");
        std::memset(data_, item_ == 1 ? 0x80 : 0xFF, (size_ + 63) / 64 * 64);
    }
    ~Tensor() { std::free(data_); }
    void* data() { return data_; }

    bool untouched() const { return count_set() == (size_ + 63) / 64 * 64 / item_; }
    bool complete() const { return count_set() == ((size_ + 63) / 64 * 64 - size_) / item_; }
    void note(TensorType type) const {
        for (size_t i = 0; fuzz::sums && i < size_ / item_; i++) {
            const double weight = double(i * 0x9E3779B1 % 1024) / 1024;
            const double value = type == TensorType::float32    ? as<float>()[i]
                                 : type == TensorType::float16  ? from_half(as<uint16_t>()[i])
                                 : type == TensorType::bfloat16 ? from_bfloat16(as<uint16_t>()[i])
                                                                : as<int8_t>()[i];
            fuzz::sums->of_values[int(type)] += weight * value;
            fuzz::sums->of_magnitudes[int(type)] += weight * std::abs(value);
        }
    }
    bool operator==(const Tensor& other) const {
        return size_ == other.size_ && std::memcmp(data_, other.data_, size_) == 0;
    }

private:
    // Items with such a value. Those behind the end, up to the block's, must stay so.
    size_t count_set() const {
        const size_t items = (size_ + 63) / 64 * 64 / item_;
        if (item_ == 2) return size_t(std::count(as<uint16_t>(), as<uint16_t>() + items, uint16_t(-1)));
        // -1 is a value that results have; -128 is not.
        if (item_ == 1) return size_t(std::count(as<uint8_t>(), as<uint8_t>() + items, uint8_t(0x80)));
        return size_t(std::count(as<uint32_t>(), as<uint32_t>() + items, uint32_t(-1)));
    }

    template <class T>
    const T* as() const {
        return static_cast<const T*>(data_);
    }

    size_t item_, size_;
    void* data_;
};

// The tensor of the whole image on its luma grid: upsample() fills the channels of subsampled components and no others.
void check_upsampling(const Header& header, const Output& planes, Draws& draws, Resampler& resampler) {
    ResampleGeometry grid;
    resize_whole_box(grid, header.height, header.width);
    uint16_t channels[max_tensor_channels];
    float scale[max_tensor_channels], shift[max_tensor_channels];
    TensorSpec spec;
    bool all = true;
    for (uint32_t c = 0; c < header.component_count; ++c) {
        const bool subsampled = is_subsampled(header, int(c));
        all &= subsampled;
        for (uint32_t k = 0; subsampled && k < 64; ++k) channels[spec.channel_count++] = uint16_t(64 * c + k);
    }
    if (spec.channel_count == 0) return;
    std::fill_n(scale, spec.channel_count, 1.0f);
    std::fill_n(shift, spec.channel_count, 0.0f);
    spec.channels = channels;
    spec.scale = scale;
    spec.shift = shift;
    spec.layout = static_cast<TensorLayout>(draws.below(2));
    spec.type = static_cast<TensorType>(draws.below(3));
    const auto chroma = draws.below(2) ? ChromaResampling::fancy : ChromaResampling::replicate;
    Tensor tensor(spec, grid);
    fuzz::require(
        resampler.upsample(header, planes.planes, planes.quantization_tables, chroma, spec, tensor.data()).ok(),
        "a sound image is upsampled");
    fuzz::require(tensor.complete(), "every value of a subsampled component is written, and nothing after them");
    if (all) return;
    // A channel of a component on the luma grid is left alone.
    uint16_t other = 0;
    while (is_subsampled(header, other / 64)) other = uint16_t(other + 64);
    spec.channels = &other;
    spec.channel_count = 1;
    Tensor alone(spec, grid);
    fuzz::require(
        resampler.upsample(header, planes.planes, planes.quantization_tables, chroma, spec, alone.data()).ok(),
        "there may be nothing to upsample");
    fuzz::require(alone.untouched(), "components on the luma grid are left alone");
}

// Each plane in a vector of its own size, so that the sanitizers see a read or a write that leaves it.
void check_splitting(const Header& header, const Output& planes, Draws& draws) {
    for (int c = 0; c < header.component_count; ++c) {
        const size_t count = size_t(header.components[c].blocks_high) * header.components[c].blocks_wide;
        const std::vector<int16_t> blocks(planes.planes[c], planes.planes[c] + 64 * count);
        std::vector<int16_t> split(64 * count);
        const uint32_t rows = draws.below(256);
        split_frequencies(blocks.data(), count, uint8_t(rows), split.data());
        for (size_t k = 0; k < 64; ++k) {
            for (size_t i = 0; i < count; ++i) {
                const int16_t expected = rows >> (k / 8) & 1 ? blocks[64 * i + k] : int16_t(0);
                fuzz::require(split[k * count + i] == expected, "plane k holds coefficient k of every block");
            }
        }
    }
}

// What a crop reads of a file of one scan, damaged or not, is what the whole file's decoding leaves there.
void check_needed_blocks(Bytes jpeg, const Header& header, const Limits& limits, const ResampleGeometry& geometry,
                         const Output& whole, Decoder& decoder) {
    fuzz::Planes part(header, 0x5A);
    part.output.mcu_rows = mcu_rows_needed(header, geometry);
    for (int c = 0; c < header.component_count; c++) part.output.needed[c] = blocks_needed(header, geometry, c);
    fuzz::require_sound(decoder.read_coefficients(jpeg, header, limits, part.output), jpeg.size);
    for (int c = 0; c < header.component_count; c++) {
        const BlockRange& needed = part.output.needed[c];
        const size_t wide = header.components[c].blocks_wide;
        for (size_t row = needed.row_begin; row < needed.row_end; row++) {
            const size_t begin = 64 * (row * wide + needed.column_begin);
            const size_t bytes = 128 * size_t(needed.column_end - needed.column_begin);
            fuzz::require(std::memcmp(part.output.planes[c] + begin, whole.planes[c] + begin, bytes) == 0,
                          "a needed block is the whole file's");
        }
    }
}

// The blocks that are said to be needed are enough: those of an early stop, and planes that hold no others.
void check_needed_planes(Bytes jpeg, const Header& header, const Limits& limits, const ResampleGeometry& geometry,
                         const TensorSpec& spec, Tensor& expected, Decoder& decoder, Resampler& resampler) {
    fuzz::Planes part(header, 0x5A);
    part.output.mcu_rows = mcu_rows_needed(header, geometry);
    for (int c = 0; c < header.component_count; c++) part.output.needed[c] = blocks_needed(header, geometry, c);
    fuzz::require(decoder.read_coefficients(jpeg, header, limits, part.output).ok(),
                  "the part of a sound image is sound");
    fuzz::NeededPlanes needed(header, part.output.needed);
    needed.fill(header, part.output);
    const bool one_scan = fuzz::has_one_scan(jpeg);
    for (const Output& planes : {part.output, needed.output}) {
        Tensor again(spec, geometry);
        fuzz::require(resampler
                          .resample(header, planes.planes, part.output.quantization_tables, geometry, spec,
                                    again.data(), planes.needed_only)
                          .ok(),
                      "the same geometry is accepted again");
        fuzz::require(!one_scan || expected == again, "the blocks that are said to be needed are enough");
    }
}

// Has the resampler take rows of blocks.
class Rows final : public RowSink {
public:
    Rows(const Header& header, const ResampleGeometry& geometry, const TensorSpec& spec, Resampler& resampler)
        : header_(header), geometry_(geometry), spec_(spec), resampler_(resampler) {}

    void rows(const Output& output, int component, uint32_t end) override {
        if (!begun_)
            fuzz::require(resampler_.begin_rows(header_, output, geometry_, spec_).ok(), "rows are taken as promised");
        begun_ = true;
        resampler_.add_rows(component, end);
    }

private:
    const Header& header_;
    const ResampleGeometry& geometry_;
    const TensorSpec& spec_;
    Resampler& resampler_;
    bool begun_ = false;
};

// A sound image gives the same by rows, from planes that hold no more rows than read_rows() asks for.
void check_rows(Bytes jpeg, const Header& header, const Limits& limits, const ResampleGeometry& geometry,
                const TensorSpec& spec, Tensor& expected, Decoder& decoder, Resampler& resampler) {
    if (!comes_in_rows(header.process) || !Resampler::takes_rows(header, geometry, spec)) return;
    if (!is_progressive(header.process) && !fuzz::has_one_scan(jpeg)) return;
    Output output;
    output.mcu_rows = mcu_rows_needed(header, geometry);
    output.held_mcu_rows = mcu_rows_to_hold(header);
    std::vector<int16_t> planes[max_components];
    for (int c = 0; c < header.component_count; c++) {
        const Component& component = header.components[c];
        const uint32_t rows =
            output.held_mcu_rows * (header.component_count == 1 ? 1u : component.vertical_sampling_factor);
        planes[c].assign(size_t(rows) * component.blocks_wide * 64, 0x5A5A);
        output.planes[c] = planes[c].data();
        output.needed[c] = blocks_needed(header, geometry, c);
    }
    Rows rows(header, geometry, spec, resampler);
    if (!decoder.read_rows(jpeg, header, limits, output, rows)) return;
    Tensor tensor(spec, geometry);
    fuzz::require(resampler.finish_rows(header, geometry, spec, tensor.data()).ok(), "rows are finished");
    fuzz::require(tensor == expected, "row by row comes the same tensor");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const fuzz::ExactBytes exact(data, size);
    Header header;
    if (!fuzz::read_promise(exact.bytes(), header).ok()) return 0;
    if (uint64_t(header.height) * header.width > 1 << 19) return 0;  // larger ones take long here and show nothing new
    Limits limits;
    limits.max_pixels = fuzz::max_pixels;
    static Decoder decoder;
    static Resampler resampler;
    fuzz::Planes whole(header, 0xA5);
    const Status whole_status = decoder.read_coefficients(exact.bytes(), header, limits, whole.output);
    const bool one_scan = fuzz::has_one_scan(exact.bytes());
    Draws draws(exact.bytes());
    if (one_scan) {
        const ResampleGeometry geometry = draw_geometry(draws, header);
        if (check_geometry(header, geometry).ok())
            check_needed_blocks(exact.bytes(), header, limits, geometry, whole.output, decoder);
    }
    if (!whole_status.ok()) return 0;

    uint16_t channels[max_tensor_channels];
    float scale[max_tensor_channels], shift[max_tensor_channels];
    check_upsampling(header, whole.output, draws, resampler);
    check_splitting(header, whole.output, draws);
    for (int round = 0; round < 3; round++) {
        ResampleGeometry geometry = draw_geometry(draws, header);
        TensorSpec spec;
        // All of three components in order, the low frequencies of 24, or some channels in any order.
        const uint32_t kind = draws.below(4);
        spec.channel_count = kind == 0 ? 24 : kind == 1 ? 1 + draws.below(192) : 192;
        const uint32_t step = spec.channel_count == 192 ? 1 : 1 + 2 * draws.below(90);
        for (uint32_t k = 0; k < spec.channel_count; k++) {
            channels[k] = uint16_t(k * step % (step == 1 ? 192 : 256));  // an odd step meets each of 256 once
            if (kind == 0)
                channels[k] = uint16_t(k < 16 ? 8 * (k / 4) + k % 4 : 64 * (k / 4 - 3) + 8 * (k / 2 % 2) + k % 2);
            scale[k] = 1.0f;
            shift[k] = 0.0f;
        }
        spec.channels = channels;
        spec.scale = scale;
        spec.shift = shift;
        spec.layout = static_cast<TensorLayout>(draws.below(2));
        const uint32_t type = draws.below(7);
        spec.type = type < 4 ? TensorType::float32 : static_cast<TensorType>(type - 3);
        spec.stream = draws.below(2) != 0;
        Tensor tensor(spec, geometry);
        const Status status = resampler.resample(header, whole.output.planes, whole.output.quantization_tables,
                                                 geometry, spec, tensor.data());
        fuzz::require(status.ok() == check_geometry(header, geometry).ok(), "only the geometry is refused");
        if (!status.ok()) {
            fuzz::require(tensor.untouched(), "a refused geometry writes nothing");
            continue;
        }
        fuzz::require(tensor.complete(), "every value is written, and nothing behind them");
        tensor.note(spec.type);

        check_needed_planes(exact.bytes(), header, limits, geometry, spec, tensor, decoder, resampler);
        check_rows(exact.bytes(), header, limits, geometry, spec, tensor, decoder, resampler);
    }
    return 0;
}
