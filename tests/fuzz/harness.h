// What the fuzz targets share: memory of exact size, filled so that a byte left unwritten shows, and checks that end the run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "jpegfreq.h"

namespace fuzz {

// Images with more pixels are refused before they cost anything.
constexpr uint64_t max_pixels = MAX_PIXELS;

// The limit of one run, drawn from the input's bytes. The fuzzer learns most from many small images: nine runs of ten take
// at most 64 x 64 to 256 x 256 pixels. Programs that read files take whatever max_pixels allows.
uint64_t pixel_limit(jpegfreq::Bytes jpeg);

// Early stops are for files of one scan: a component that comes again in a second one is not what its first scan says.
bool has_one_scan(jpegfreq::Bytes jpeg);

// FNV-1a.
uint64_t hash(jpegfreq::Bytes bytes);

// Ends the process with a message, for the fuzzer to keep the input.
void require(bool condition, const char* what);

// A Status of a fault must say what, where and which rule.
void require_sound(const jpegfreq::Status& status, size_t size);

// Ends the process like require(), telling both.
void require_equal(const jpegfreq::Status& status, const jpegfreq::Status& expected, const char* what);

// An image's bytes in a block of their own, so that a read behind them is seen.
class ExactBytes {
public:
    ExactBytes(const uint8_t* data, size_t size);
    jpegfreq::Bytes bytes() const;

private:
    std::unique_ptr<uint8_t[]> data_;
    size_t size_;
};

// Planes for a header, each in a block of its own, every byte `filling` before they are decoded.
class Planes {
public:
    Planes(const jpegfreq::Header& header, uint8_t filling);
    jpegfreq::Output output;

    bool operator==(const Planes& other) const;
    // The block rows of an early stop's MCU rows equal, and only zeros below.
    bool begins_like(const Planes& whole, const jpegfreq::Header& header, uint32_t mcu_rows) const;

private:
    friend void note(const Planes& planes);

    std::vector<std::unique_ptr<int16_t[]>> planes_;
    std::vector<size_t> sizes_;  // int16
};

// The blocks that output.needed names of each component, as Output::needed_only has them, in a block of memory for each.
class NeededPlanes {
public:
    NeededPlanes(const jpegfreq::Header& header, const jpegfreq::BlockRange (&needed)[jpegfreq::max_components]);
    jpegfreq::Output output;

    // Copies them from the planes of the whole image.
    void fill(const jpegfreq::Header& header, const jpegfreq::Output& whole);
    bool equals(const jpegfreq::Header& header, const jpegfreq::Output& whole) const;

private:
    std::unique_ptr<int16_t[]> blocks_[jpegfreq::max_components];
};

// Of all coefficients noted so far, for builds and machines to be compared by. Null: nobody asks.
extern uint64_t* checksum;
void note(const Planes& planes);

// Of the values of all tensors, each times a weight that its place in the tensor gives: kinds of vectors round differently, so
// they are compared by these. One for each TensorType.
struct WeightedSums {
    double of_values[4] = {}, of_magnitudes[4] = {};
};
extern WeightedSums* sums;

// read_header, then check_promise: whether planes may be allocated.
jpegfreq::Status read_promise(jpegfreq::Bytes jpeg, jpegfreq::Header& header);

}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
