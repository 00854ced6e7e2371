#include "harness.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace fuzz {

using namespace jpegfreq;

void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "violated: %s\n", what);
    std::abort();
}

void require_sound(const Status& status, size_t size) {
    if (status.ok()) return;
    require(status.code <= Code::out_of_memory, "a code of the enumeration");
    require(status.message[0] != '\0', "a fault has a message");
    require(status.offset_bytes <= size, "a fault stands in the file");
}

static void print(const Status& status) {
    std::fprintf(stderr, "  code %d, %s at byte %llu: %s (detail %lld, %s)\n", int(status.code), status.segment,
                 static_cast<unsigned long long>(status.offset_bytes), status.message,
                 static_cast<long long>(status.detail), status.clause);
}

void require_equal(const Status& status, const Status& expected, const char* what) {
    const bool equal = status.code == expected.code && std::strcmp(status.segment, expected.segment) == 0 &&
                       std::strcmp(status.message, expected.message) == 0 &&
                       std::strcmp(status.clause, expected.clause) == 0 &&
                       status.offset_bytes == expected.offset_bytes && status.detail == expected.detail;
    if (equal) return;
    print(status);
    print(expected);
    require(false, what);
}

ExactBytes::ExactBytes(const uint8_t* data, size_t size) : data_(new uint8_t[size]), size_(size) {
    if (size) std::memcpy(data_.get(), data, size);
}

Bytes ExactBytes::bytes() const {
    Bytes bytes;
    bytes.data = data_.get();
    bytes.size = size_;
    return bytes;
}

Planes::Planes(const Header& header, uint8_t filling) {
    for (int c = 0; c < header.component_count; c++) {
        sizes_.push_back(size_t(header.components[c].blocks_high) * header.components[c].blocks_wide * 64);
        planes_.emplace_back(new int16_t[sizes_.back()]);
        std::memset(planes_.back().get(), filling, sizes_.back() * sizeof(int16_t));
        output.planes[c] = planes_.back().get();
    }
}

bool Planes::operator==(const Planes& other) const {
    for (size_t c = 0; c < planes_.size(); c++)
        if (std::memcmp(planes_[c].get(), other.planes_[c].get(), sizes_[c] * sizeof(int16_t)) != 0) return false;
    return std::memcmp(output.quantization_tables, other.output.quantization_tables,
                       sizeof output.quantization_tables) == 0;
}

bool Planes::begins_like(const Planes& whole, const Header& header, uint32_t mcu_rows) const {
    for (size_t c = 0; c < planes_.size(); c++) {
        const Component& component = header.components[c];
        const uint32_t mcu_height = header.component_count == 1 ? 1 : component.vertical_sampling_factor;
        const uint64_t rows = std::min<uint64_t>(uint64_t(mcu_rows) * mcu_height, component.blocks_high);
        const size_t kept = size_t(rows) * component.blocks_wide * 64;
        if (std::memcmp(planes_[c].get(), whole.planes_[c].get(), kept * sizeof(int16_t)) != 0) return false;
        if (std::any_of(planes_[c].get() + kept, planes_[c].get() + sizes_[c],
                        [](int16_t value) { return value != 0; }))
            return false;
    }
    return true;
}

NeededPlanes::NeededPlanes(const Header& header, const BlockRange (&needed)[max_components]) {
    output.needed_only = true;
    for (int c = 0; c < header.component_count; c++) {
        const BlockRange& range = output.needed[c] = needed[c];
        const size_t rows = range.row_end - range.row_begin, columns = range.column_end - range.column_begin;
        blocks_[c].reset(new int16_t[rows * columns * 64]);
        output.planes[c] = plane_of(blocks_[c].get(), range);
    }
}

// Calls `use` with where each row of needed blocks stands in the whole plane and among the needed ones, and its bytes.
template <class Use>
static void for_each_row(const Header& header, const Output& output, int c, const Use& use) {
    const BlockRange& range = output.needed[c];
    const size_t columns = range.column_end - range.column_begin;
    for (size_t row = range.row_begin; row < range.row_end; row++)
        use((row * header.components[c].blocks_wide + range.column_begin) * 64, (row - range.row_begin) * columns * 64,
            columns * 128);
}

void NeededPlanes::fill(const Header& header, const Output& whole) {
    for (int c = 0; c < header.component_count; c++)
        for_each_row(header, output, c, [&](size_t from, size_t to, size_t bytes) {
            std::memcpy(blocks_[c].get() + to, whole.planes[c] + from, bytes);
        });
}

bool NeededPlanes::equals(const Header& header, const Output& whole) const {
    bool equal = true;
    for (int c = 0; c < header.component_count; c++)
        for_each_row(header, output, c, [&](size_t from, size_t to, size_t bytes) {
            equal &= std::memcmp(whole.planes[c] + from, blocks_[c].get() + to, bytes) == 0;
        });
    return equal;
}

uint64_t* checksum = nullptr;
WeightedSums* sums = nullptr;

void note(const Planes& planes) {
    if (!checksum) return;
    for (size_t c = 0; c < planes.planes_.size(); c++) {
        for (size_t i = 0; i < planes.sizes_[c]; i += 4) {
            uint64_t four;
            std::memcpy(&four, planes.planes_[c].get() + i, sizeof four);
            *checksum = (*checksum ^ four) * 0x9E3779B97F4A7C15 >> 1;
        }
    }
}

bool has_one_scan(Bytes jpeg) {
    int scans = 0;
    for (size_t i = 0; i + 1 < jpeg.size; i++) scans += jpeg.data[i] == 0xFF && jpeg.data[i + 1] == 0xDA;
    return scans == 1;
}

uint64_t hash(Bytes bytes) {
    uint64_t state = 0xcbf29ce484222325;
    for (size_t i = 0; i < bytes.size; i++) state = (state ^ bytes.data[i]) * 0x100000001b3;
    return state;
}

uint64_t pixel_limit(Bytes jpeg) {
#ifdef SMALL_IMAGES
    const uint64_t draw = hash(jpeg) >> 20;
    if (draw % 10 != 0) return uint64_t(64 * 64) << (draw / 10 % 3 * 2);
#else
    (void)jpeg;
#endif
    return max_pixels;
}

Status read_promise(Bytes jpeg, Header& header) {
    Status status = read_header(jpeg, header);
    if (!status.ok()) return status;
    Limits limits;
    limits.max_pixels = pixel_limit(jpeg);
    return check_promise(jpeg, header, limits);
}

}  // namespace fuzz
