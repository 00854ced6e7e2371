// Writer::write on images drawn from the input: those of a JPEG, changed, or of a description that may make no sense. What is
// written is read back as it was, alike by a used writer and a fresh one; the rest is refused.
#include <algorithm>
#include <cstring>

#include "harness.h"
#include "jpegfreq_write.h"

using namespace jpegfreq;

namespace {

// The input's bytes one after another; zeros after the last.
class Draws {
public:
    explicit Draws(Bytes bytes) : bytes_(bytes) {}

    uint8_t byte() { return at_ < bytes_.size ? bytes_.data[at_++] : 0; }
    uint32_t below(uint32_t bound) { return (byte() | uint32_t(byte()) << 8) % bound; }
    bool one_in(uint32_t count) { return byte() % count == count - 1; }
    Bytes take(size_t count) {
        count = std::min(count, bytes_.size - at_);
        at_ += count;
        return {bytes_.data + at_ - count, count};
    }
    size_t left() const { return bytes_.size - at_; }

private:
    Bytes bytes_;
    size_t at_ = 0;
};

struct Image {
    Header header;
    std::unique_ptr<fuzz::Planes> planes;
};

const Process processes[] = {Process::baseline,
                             Process::extended,
                             Process::progressive,
                             Process::progressive,
                             Process::arithmetic_extended,
                             Process::arithmetic_progressive,
                             Process::lossless};

uint32_t blocks(uint32_t size, uint32_t factor, uint32_t most) { return (size * factor + 8 * most - 1) / (8 * most); }

void lay_out(Header& header) {
    header.max_horizontal_sampling_factor = header.max_vertical_sampling_factor = 1;
    for (int c = 0; c < header.component_count; c++) {
        header.max_horizontal_sampling_factor =
            std::max(header.max_horizontal_sampling_factor, header.components[c].horizontal_sampling_factor);
        header.max_vertical_sampling_factor =
            std::max(header.max_vertical_sampling_factor, header.components[c].vertical_sampling_factor);
    }
    for (int c = 0; c < header.component_count; c++) {
        Component& component = header.components[c];
        component.blocks_high =
            blocks(header.height, component.vertical_sampling_factor, header.max_vertical_sampling_factor);
        component.blocks_wide =
            blocks(header.width, component.horizontal_sampling_factor, header.max_horizontal_sampling_factor);
    }
}

// A header that makes sense, but for a few fields now and then.
Header draw_header(Draws& draws) {
    Header header;
    header.process = processes[draws.below(7)];
    header.precision = header.process != Process::baseline && draws.one_in(3) ? 12 : 8;
    header.height = 1 + draws.below(draws.one_in(8) ? 400 : 40);
    header.width = 1 + draws.below(draws.one_in(8) ? 400 : 40);
    header.component_count = uint8_t(1 + draws.below(4));
    const ColorKind colors[] = {ColorKind::grey, ColorKind::unknown,
                                draws.one_in(2) ? ColorKind::rgb : ColorKind::ycbcr,
                                draws.one_in(2) ? ColorKind::ycck : ColorKind::cmyk};
    header.color = colors[header.component_count - 1];
    header.orientation = draws.one_in(4) ? uint8_t(1 + draws.below(8)) : 1;
    header.restart_interval = draws.one_in(4) ? draws.below(20) : 0;
    for (int c = 0; c < header.component_count; c++) {
        Component& component = header.components[c];
        component.identifier = draws.one_in(8) ? draws.byte() : uint8_t(c + 1);
        component.horizontal_sampling_factor = draws.one_in(3) ? uint8_t(1 + draws.below(4)) : 1;
        component.vertical_sampling_factor = draws.one_in(3) ? uint8_t(1 + draws.below(4)) : 1;
        component.quantization_table_id = draws.one_in(4) ? draws.byte() : uint8_t(c);
    }
    lay_out(header);
    return header;
}

void spoil(Header& header, Draws& draws) {
    Component& component = header.components[draws.below(max_components)];
    switch (draws.below(10)) {
        case 0: header.precision = draws.byte(); break;
        case 1: header.height = draws.below(65536) << draws.below(16); break;
        case 2: header.width = draws.below(65536) << draws.below(16); break;
        case 3: header.component_count = draws.byte(); break;
        case 4: header.color = ColorKind(draws.below(6)); break;
        case 5: header.orientation = draws.byte(); break;
        case 6: header.restart_interval = draws.below(65536) << draws.below(16); break;
        case 7: component.horizontal_sampling_factor = draws.byte(); break;
        case 8: component.vertical_sampling_factor = draws.byte(); break;
        case 9: component.blocks_high = draws.below(65536); break;
    }
}

// Values of all kinds: none, few, many, small, large, any.
void draw_planes(const Header& header, Draws& draws, Output& output) {
    for (int c = 0; c < header.component_count; c++) {
        const size_t count = size_t(header.components[c].blocks_high) * header.components[c].blocks_wide * 64;
        std::memset(output.planes[c], 0, count * sizeof(int16_t));
        for (uint16_t& step : output.quantization_tables[c]) step = uint16_t(1 + draws.byte());
        if (draws.one_in(8)) output.quantization_tables[c][draws.below(64)] = uint16_t(draws.below(65536));
        const uint32_t gap = 1 + draws.below(200);
        const uint32_t bits = draws.one_in(16) ? 16 : draws.below(header.precision == 8 ? 11 : 15);
        uint32_t state = draws.byte() | 1;
        for (size_t i = 0; i < count; i += 1 + state / 65536 % gap) {
            state = state * 1664525 + 1013904223 + draws.byte();
            const uint32_t magnitude = (state >> 4) & ((1u << bits) - 1);
            output.planes[c][i] = int16_t(state >> 31 ? magnitude : 0 - magnitude);
        }
    }
}

struct Options {
    WriteOptions options;
    WrittenScan scans[300];
    WrittenSegment segments[4];

    Options(const Header& header, Draws& draws) {
        options.optimize = !draws.one_in(6);
        options.extend = draws.one_in(2);
        options.restart_rows = draws.one_in(3) ? int64_t(draws.below(4)) : draws.one_in(30) ? draws.below(65536) : -1;
        options.add_color_segment = draws.one_in(2);
        const size_t count = draws.one_in(2) ? 0 : draws.below(5);
        for (size_t i = 0; i < count; i++) {
            segments[i].marker =
                draws.one_in(4) ? draws.byte() : uint8_t(draws.one_in(3) ? 0xFE : 0xE0 + draws.below(16));
            segments[i].body = draws.take(draws.below(draws.one_in(8) ? 65536 : 40));
        }
        options.segments = {segments, count};
        if (!draws.one_in(3)) return;
        // A script that may be sound: bands of each component, bit by bit; or anything.
        size_t scan_count = 0;
        const uint32_t bit_count = draws.below(14), cut = 1 + draws.below(63);
        for (int c = 0; c < std::min<int>(header.component_count, max_components); c++) {
            for (int bit = int(bit_count); bit >= 0; bit--) {
                for (int part = 0; part < 3; part++) {
                    WrittenScan& scan = scans[scan_count++];
                    scan.component_count = 1;
                    scan.components[0] = uint8_t(c);
                    scan.Ss = part == 0 ? 0 : part == 1 ? 1 : uint8_t(cut + 1);
                    scan.Se = part == 0 ? 0 : part == 1 ? uint8_t(cut) : 63;
                    scan.Ah = bit == int(bit_count) ? 0 : uint8_t(bit + 1);
                    scan.Al = uint8_t(bit);
                    if (scan.Ss > scan.Se || (part == 0 && bit < int(bit_count) && draws.one_in(64))) scan_count--;
                }
            }
        }
        if (draws.one_in(4)) {
            WrittenScan& scan = scans[draws.below(300)];
            scan.component_count = draws.byte();
            for (uint8_t& index : scan.components) index = draws.byte() % 8;
            scan.Ss = draws.byte() % 80;
            scan.Se = draws.byte() % 80;
            scan.Al = draws.byte() % 20;
            scan_count = draws.one_in(2) ? 300 : scan_count;
        }
        options.scans = {scans, scan_count};
    }
};

void require_read_back(Bytes file, const Header& header, const Image& image) {
    Header read;
    Status status = read_header(file, read);
    fuzz::require_equal(status, Status(), "a written file has a sound header");
    fuzz::require(read.height == header.height && read.width == header.width && read.precision == header.precision &&
                      read.component_count == header.component_count && read.color == header.color &&
                      read.orientation == header.orientation,
                  "the header tells what was to be written");
    fuzz::Planes planes(read, 0xA5);
    Limits limits;
    limits.max_scans = 300;
    Decoder decoder;
    status = decoder.read_coefficients(file, read, limits, planes.output);
    fuzz::require_equal(status, Status(), "a written file is sound");
    for (int c = 0; c < header.component_count; c++) {
        const size_t bytes = size_t(header.components[c].blocks_high) * header.components[c].blocks_wide * 128;
        fuzz::require(std::memcmp(planes.output.planes[c], image.planes->output.planes[c], bytes) == 0 &&
                          std::memcmp(planes.output.quantization_tables[c], image.planes->output.quantization_tables[c],
                                      128) == 0,
                      "a written file has the coefficients and the tables");
    }
}

// The image of a JPEG, with a few values changed.
bool read_image(Bytes jpeg, Image& image) {
    if (!fuzz::read_promise(jpeg, image.header).ok()) return false;
    image.planes = std::make_unique<fuzz::Planes>(image.header, 0);
    Limits limits;
    limits.max_pixels = fuzz::max_pixels;
    Decoder decoder;
    decoder.read_coefficients(jpeg, image.header, limits, image.planes->output);
    Draws draws({jpeg.data + jpeg.size / 2, jpeg.size - jpeg.size / 2});
    for (uint32_t i = draws.below(4); i > 0; i--) {
        const int c = int(draws.below(image.header.component_count));
        const Component& component = image.header.components[c];
        const size_t block = (draws.below(65536) * size_t(65536) + draws.below(65536)) %
                             (size_t(component.blocks_high) * component.blocks_wide);
        image.planes->output.planes[c][64 * block + draws.below(64)] = int16_t(draws.below(65536));
    }
    if (draws.one_in(2)) image.header.process = processes[draws.below(7)];
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static Writer used;
    Draws draws({data, size});
    Image image;
    if (size > 2 && data[0] == 0xFF && data[1] == 0xD8) {
        if (!read_image({data, size}, image)) return 0;
        draws.take(size / 3);
    } else {
        image.header = draw_header(draws);
        image.planes = std::make_unique<fuzz::Planes>(image.header, 0);
        draw_planes(image.header, draws, image.planes->output);
    }
    const Options options(image.header, draws);
    Header header = image.header;
    if (draws.one_in(8)) spoil(header, draws);
    const Output& output = image.planes->output;

    const Status status = used.write(header, output.planes, output.quantization_tables, options.options);
    const CoefficientPlace place = used.place();
    if (!status.ok()) {
        fuzz::require(status.message[0] != '\0', "a refusal has a message");
        if (place.component < 0) return 0;
        fuzz::require(place.component < header.component_count &&
                          place.block_row < header.components[place.component].blocks_high &&
                          place.block_column < header.components[place.component].blocks_wide && place.frequency < 64,
                      "the place of a coefficient is in the image");
        return 0;
    }
    const Bytes file = used.jpeg();
    if (fuzz::checksum) *fuzz::checksum = (*fuzz::checksum ^ fuzz::hash(file)) * 0x9E3779B97F4A7C15 >> 1;
    require_read_back(file, header, image);
    if (fuzz::hash(file) % 4 != 0) return 0;
    Writer fresh;
    fuzz::require_equal(fresh.write(header, output.planes, output.quantization_tables, options.options), status,
                        "a fresh writer finds no fault either");
    fuzz::require(fresh.jpeg().size == file.size && std::memcmp(fresh.jpeg().data, file.data, file.size) == 0,
                  "a fresh writer writes the same file");
    return 0;
}
