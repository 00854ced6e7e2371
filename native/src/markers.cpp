#include "markers.h"

#include <cstring>

namespace jpegfreq {

// Bounded by 64 entries, then 16 more that a run past coefficient 63 may touch before it is noticed.
const uint8_t natural_order[64 + 16] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33,
                                        40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36,
                                        29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
                                        47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63};

namespace {

enum : uint8_t {
    SOF0 = 0xC0,
    SOF3 = 0xC3,
    DHT = 0xC4,
    JPG = 0xC8,
    DAC = 0xCC,
    SOF15 = 0xCF,
    RST0 = 0xD0,
    RST7 = 0xD7,
    SOI = 0xD8,
    EOI = 0xD9,
    SOS = 0xDA,
    DQT = 0xDB,
    DNL = 0xDC,
    DRI = 0xDD,
    DHP = 0xDE,
    EXP = 0xDF,
    APP0 = 0xE0,
    APP1 = 0xE1,
    APP14 = 0xEE,
    APP15 = 0xEF,
    SOF55 = 0xF7,
    COM = 0xFE,
    TEM = 0x01,
};

Status fail(Code code, const char* segment, uint64_t offset, const char* message, const char* clause,
            int64_t detail = 0) {
    Status status;
    status.code = code;
    status.segment = segment;
    status.message = message;
    status.clause = clause;
    status.offset_bytes = offset;
    status.detail = detail;
    return status;
}

Status malformed(const char* segment, uint64_t offset, const char* message, const char* clause, int64_t detail = 0) {
    return fail(Code::malformed, segment, offset, message, clause, detail);
}

uint32_t be16(const uint8_t* p) { return uint32_t(p[0]) << 8 | p[1]; }

uint32_t ceil_divide(uint64_t a, uint64_t b) { return uint32_t((a + b - 1) / b); }

// K.3: the tables that Motion JPEG frames leave out; libjpeg takes them for tables 0 and 1 of a sequential file.
struct StandardTable {
    uint8_t counts[16];
    const uint8_t* values;
    uint16_t value_count;
};
const uint8_t dc_values[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
const uint8_t ac_luma_values[162] = {
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
    0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72,
    0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
    0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83,
    0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3,
    0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3,
    0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2,
    0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA};
const uint8_t ac_chroma_values[162] = {
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
    0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0, 0x15, 0x62, 0x72, 0xD1,
    0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x35, 0x36,
    0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
    0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A,
    0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A,
    0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA,
    0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA,
    0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA};
const StandardTable standard_dc[2] = {{{0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0}, dc_values, 12},
                                      {{0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0}, dc_values, 12}};
const StandardTable standard_ac[2] = {{{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d}, ac_luma_values, 162},
                                      {{0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77}, ac_chroma_values, 162}};

void set_standard(HuffmanSpec& spec, const StandardTable& table) {
    if (spec.defined) return;
    spec = HuffmanSpec();
    spec.defined = true;
    std::memcpy(spec.code_counts, table.counts, 16);
    std::memcpy(spec.values, table.values, table.value_count);
    spec.value_count = table.value_count;
}

// C.2: codes are given out in order of length, and none may be all ones. Checked where a scan names the table, as libjpeg does.
Status check_codes(const HuffmanSpec& spec, bool is_dc) {
    uint32_t code = 0;
    for (int i = 0; i < 16; i++) {
        code += spec.code_counts[i];
        if (spec.code_counts[i] && code >= (1u << (i + 1)))
            return malformed("DHT", spec.offset_bytes, "codes of length {} overflow the tree", "C.2", i + 1);
        code <<= 1;
    }
    if (is_dc)
        for (int i = 0; i < spec.value_count; i++)
            if (spec.values[i] > 15)
                return malformed("DHT", spec.offset_bytes, "a DC difference of {} bits", "F.1.2.1.1", spec.values[i]);
    return Status();
}

// EXIF 2.3, 4.6.4: tag 0x0112 of IFD 0. Anything unreadable means 1.
uint8_t read_orientation(Bytes tiff) {
    if (tiff.size < 8) return 1;
    const uint8_t* data = tiff.data;
    bool little = data[0] == 'I' && data[1] == 'I';
    if (!little && !(data[0] == 'M' && data[1] == 'M')) return 1;
    auto u16 = [&](size_t at) { return little ? uint32_t(data[at + 1]) << 8 | data[at] : be16(data + at); };
    auto u32 = [&](size_t at) { return little ? u16(at + 2) << 16 | u16(at) : u16(at) << 16 | u16(at + 2); };
    uint64_t ifd = u32(4);
    if (u16(2) != 42 || ifd + 2 > tiff.size) return 1;
    uint32_t entries = u16(ifd);
    for (uint64_t i = 0, at = ifd + 2; i < entries && at + 12 <= tiff.size; i++, at += 12) {
        if (u16(at) != 0x0112) continue;
        uint32_t value = u16(at + 2) == 3 ? u16(at + 8) : 0;  // SHORT
        return value >= 1 && value <= 8 ? uint8_t(value) : 1;
    }
    return 1;
}

const char* process_name(uint8_t marker) {
    switch (marker) {
        case 0xC3: return "the lossless process (SOF3)";
        case 0xC5: return "the hierarchical process: differential sequential (SOF5)";
        case 0xC6: return "the hierarchical process: differential progressive (SOF6)";
        case 0xC7: return "the hierarchical process: differential lossless (SOF7)";
        case 0xCB: return "the lossless process with arithmetic coding (SOF11)";
        case 0xCD: return "the hierarchical process: differential sequential, arithmetic (SOF13)";
        case 0xCE: return "the hierarchical process: differential progressive, arithmetic (SOF14)";
        case 0xCF: return "the hierarchical process: differential lossless, arithmetic (SOF15)";
        case DHP: return "the hierarchical process (DHP)";
        case SOF55: return "JPEG-LS (SOF55)";
        default: return nullptr;
    }
}

}  // namespace

uint64_t find_marker(Bytes jpeg, uint64_t offset) {
    const uint8_t* data = jpeg.data;
    while (offset + 1 < jpeg.size) {
        const void* hit = std::memchr(data + offset, 0xFF, jpeg.size - 1 - offset);
        if (!hit) return jpeg.size;
        offset = uint64_t(static_cast<const uint8_t*>(hit) - data);
        uint8_t next = data[offset + 1];
        if (next == 0xFF) {
            offset++;  // B.1.1.2: fill byte
        } else if (next == 0 || (next >= RST0 && next <= RST7)) {
            offset += 2;
        } else {
            return offset;
        }
    }
    return jpeg.size;
}

MarkerReader::MarkerReader(Bytes jpeg) : jpeg_(jpeg) {}

// The next marker from position_ on; skips junk, stuffed zeros and fill bytes, as libjpeg does. False at the end of the data.
bool MarkerReader::next_marker(uint8_t& marker, uint64_t& offset) {
    while (position_ + 1 < jpeg_.size) {
        const void* hit = std::memchr(jpeg_.data + position_, 0xFF, jpeg_.size - 1 - position_);
        if (!hit) break;
        offset = uint64_t(static_cast<const uint8_t*>(hit) - jpeg_.data);
        uint64_t at = offset + 1;
        while (at < jpeg_.size && jpeg_.data[at] == 0xFF) at++;
        if (at >= jpeg_.size) break;
        position_ = at + 1;
        if (jpeg_.data[at] != 0) {
            offset = at - 1;
            marker = jpeg_.data[at];
            return true;
        }
    }
    position_ = jpeg_.size;
    return false;
}

// The body of the segment whose length field stands at position_; position_ moves behind it.
Status MarkerReader::segment_body(const char* name, uint64_t offset, Bytes& body) {
    if (jpeg_.size - position_ < 2)
        return fail(Code::truncated, name, offset, "the data end inside the segment", "B.1.1.4");
    uint32_t length = be16(jpeg_.data + position_);
    if (length < 2) return malformed(name, offset, "a segment length of {}", "B.1.1.4", length);
    if (length > jpeg_.size - position_)
        return fail(Code::truncated, name, offset, "the data end inside the segment of {} bytes", "B.1.1.4", length);
    body.data = jpeg_.data + position_ + 2;
    body.size = length - 2;
    position_ += length;
    return Status();
}

Status MarkerReader::read_dqt(uint64_t offset, Bytes body) {
    size_t at = 0;
    while (at < body.size) {
        uint8_t pq = body.data[at] >> 4, tq = body.data[at] & 15;
        at++;
        if (pq > 1) return malformed("DQT", offset, "table precision {} (0 and 1 exist)", "B.2.4.1", pq);
        if (tq > 3) return malformed("DQT", offset, "table {} (0 to 3 exist)", "B.2.4.1", tq);
        size_t need = pq ? 128 : 64;
        if (body.size - at < need) return malformed("DQT", offset, "the segment ends inside table {}", "B.2.4.1", tq);
        for (int i = 0; i < 64; i++)
            quantization_[tq][natural_order[i]] = uint16_t(pq ? be16(body.data + at + 2 * i) : body.data[at + i]);
        quantization_defined_[tq] = true;
        at += need;
    }
    return Status();
}

Status MarkerReader::read_dht(uint64_t offset, Bytes body) {
    size_t at = 0;
    while (body.size - at > 16) {
        uint8_t index = body.data[at];
        HuffmanSpec spec;
        spec.defined = true;
        spec.offset_bytes = offset;
        uint32_t count = 0;
        for (int i = 0; i < 16; i++) count += spec.code_counts[i] = body.data[at + 1 + i];
        at += 17;
        if (count > 256) return malformed("DHT", offset, "{} codes", "B.2.4.2", count);
        if (count > body.size - at)
            return malformed("DHT", offset, "the segment ends inside a table of {} codes", "B.2.4.2", count);
        if ((index & ~0x13) != 0) return malformed("DHT", offset, "table class and number {}", "B.2.4.2", index);
        std::memcpy(spec.values, body.data + at, count);
        spec.value_count = uint16_t(count);
        at += count;
        (index & 0x10 ? tables_.ac : tables_.dc)[index & 3] = spec;
    }
    if (at != body.size) return malformed("DHT", offset, "{} bytes too many", "B.2.4.2", int64_t(body.size - at));
    return Status();
}

Status MarkerReader::read_dac(uint64_t offset, Bytes body) {
    if (body.size % 2) return malformed("DAC", offset, "a segment length of {}", "B.2.4.3", int64_t(body.size + 2));
    for (size_t at = 0; at < body.size; at += 2) {
        uint8_t index = body.data[at], value = body.data[at + 1];
        if ((index & ~0x13) != 0) return malformed("DAC", offset, "table class and number {}", "B.2.4.3", index);
        if (index & 0x10) {
            tables_.arithmetic_ac_kx[index & 3] = value;
        } else {
            if ((value & 15) > value >> 4) return malformed("DAC", offset, "L exceeds U in value {}", "B.2.4.3", value);
            tables_.arithmetic_dc_lower[index & 3] = value & 15;
            tables_.arithmetic_dc_upper[index & 3] = value >> 4;
        }
    }
    return Status();
}

void MarkerReader::read_application(uint8_t marker, Bytes body) {
    if (marker == APP0 && body.size >= 14 && std::memcmp(body.data, "JFIF", 5) == 0) {
        saw_jfif_ = true;
    } else if (marker == APP14 && body.size >= 12 && std::memcmp(body.data, "Adobe", 5) == 0) {
        adobe_transform_ = body.data[11];
    } else if (marker == APP1 && !saw_exif_ && body.size >= 6 && std::memcmp(body.data, "Exif\0", 6) == 0) {
        saw_exif_ = true;
        Bytes tiff;
        tiff.data = body.data + 6;
        tiff.size = body.size - 6;
        orientation_ = read_orientation(tiff);
    }
}

// Every segment but SOF, SOS, EOI; `marker` was read, position_ stands behind it.
Status MarkerReader::read_segment(uint8_t marker, uint64_t offset) {
    if ((marker >= RST0 && marker <= RST7) || marker == TEM) return Status();
    if (marker == SOI) return malformed("SOI", offset, "a second SOI", "B.2.1");
    if (const char* name = process_name(marker))
        return fail(Code::unsupported, name, offset, "not a DCT-based process of Annexes F and G", "");
    const bool foreign = (marker >= APP0 && marker <= APP15) || marker == COM || marker == DNL;
    if (!foreign && marker != DQT && marker != DHT && marker != DAC && marker != DRI)
        return malformed("marker", offset, "unknown marker code {}", "B.1.1.3", marker);
    if (foreign && jpeg_.size - position_ >= 2 && be16(jpeg_.data + position_) < 2) {
        position_ += 2;  // libjpeg takes a foreign segment with an impossible length as an empty one
        return Status();
    }
    const char* name = marker == DQT   ? "DQT"
                       : marker == DHT ? "DHT"
                       : marker == DAC ? "DAC"
                       : marker == DRI ? "DRI"
                       : marker == DNL ? "DNL"
                       : marker == COM ? "COM"
                                       : "APPn";
    Bytes body;
    Status status = segment_body(name, offset, body);
    if (!status.ok()) return status;
    if (marker == DQT) return read_dqt(offset, body);
    if (marker == DHT) return read_dht(offset, body);
    if (marker == DAC) return read_dac(offset, body);
    if (marker == DRI) {
        if (body.size != 2)
            return malformed("DRI", offset, "a segment length of {}", "B.2.4.4", int64_t(body.size + 2));
        restart_interval_ = be16(body.data);
        return Status();
    }
    read_application(marker, body);
    return Status();
}

Status MarkerReader::read_sof(uint8_t marker, uint64_t offset, Header& header) {
    Bytes body;
    Status status = segment_body("SOF", offset, body);
    if (!status.ok()) return status;
    if (body.size < 6) return malformed("SOF", offset, "a segment length of {}", "B.2.2", int64_t(body.size + 2));
    header.process = Process(marker - SOF0);
    header.precision = body.data[0];
    header.height = be16(body.data + 1);
    header.width = be16(body.data + 3);
    const uint32_t count = body.data[5];
    if (header.width == 0) return malformed("SOF", offset, "a width of 0", "B.2.2");
    if (count == 0) return malformed("SOF", offset, "no components", "B.2.2");
    if (body.size != 6 + 3 * count)
        return malformed("SOF", offset, "a segment length of {}", "B.2.2", int64_t(body.size + 2));
    if (header.precision != 8 && header.precision != 12)
        return fail(Code::unsupported, "SOF", offset, "a sample precision of {} bits", "B.2.2", header.precision);
    if (count > max_components)
        return fail(Code::unsupported, "SOF", offset, "{} components (1 to 4 are read)", "B.2.2", count);
    header.component_count = uint8_t(count);
    header.frame_offset_bytes = offset;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t* p = body.data + 6 + 3 * i;
        Component& component = header.components[i];
        component.identifier = p[0];
        component.horizontal_sampling_factor = p[1] >> 4;
        component.vertical_sampling_factor = p[1] & 15;
        component.quantization_table_id = p[2];
        const int h = p[1] >> 4, v = p[1] & 15;
        if (h < 1 || h > 4 || v < 1 || v > 4)
            return malformed("SOF", offset, "sampling factors {} (H, V: 1 to 4)", "B.2.2", p[1]);
        if (h > header.max_horizontal_sampling_factor) header.max_horizontal_sampling_factor = uint8_t(h);
        if (v > header.max_vertical_sampling_factor) header.max_vertical_sampling_factor = uint8_t(v);
    }
    return Status();
}

// B.2.5: SOF said 0 lines, so a DNL segment must follow the first scan.
Status MarkerReader::read_dnl(Header& header) const {
    const uint64_t sos = position_;
    const uint64_t size = jpeg_.size;
    if (size - sos < 4) return fail(Code::truncated, "SOS", sos, "the data end inside the segment", "B.1.1.4");
    const uint64_t scan_data = sos + 2 + be16(jpeg_.data + sos + 2);
    const uint64_t dnl = scan_data < size ? find_marker(jpeg_, scan_data) : size;
    if (dnl >= size)
        return fail(Code::truncated, "SOF", header.frame_offset_bytes, "0 lines, and the data end before a DNL segment",
                    "B.2.5");
    if (jpeg_.data[dnl + 1] != DNL)
        return malformed("SOF", header.frame_offset_bytes, "0 lines, and no DNL segment after the first scan", "B.2.5");
    if (size - dnl < 6) return fail(Code::truncated, "DNL", dnl, "the data end inside the segment", "B.2.5");
    if (be16(jpeg_.data + dnl + 2) != 4)
        return malformed("DNL", dnl, "a segment length of {}", "B.2.5", be16(jpeg_.data + dnl + 2));
    header.height = be16(jpeg_.data + dnl + 4);
    if (header.height == 0) return malformed("DNL", dnl, "0 lines", "B.2.5");
    return Status();
}

static void set_geometry(Header& header) {
    for (int i = 0; i < header.component_count; i++) {
        Component& component = header.components[i];
        component.blocks_wide = ceil_divide(uint64_t(header.width) * component.horizontal_sampling_factor,
                                            8 * header.max_horizontal_sampling_factor);
        component.blocks_high = ceil_divide(uint64_t(header.height) * component.vertical_sampling_factor,
                                            8 * header.max_vertical_sampling_factor);
    }
}

ColorKind MarkerReader::color_kind(const Header& header) const {
    if (header.component_count == 1) return ColorKind::grey;
    if (header.component_count == 3) {
        if (saw_jfif_) return ColorKind::ycbcr;
        if (adobe_transform_ >= 0) return adobe_transform_ == 0 ? ColorKind::rgb : ColorKind::ycbcr;
        const bool rgb = header.components[0].identifier == 'R' && header.components[1].identifier == 'G' &&
                         header.components[2].identifier == 'B';
        return rgb ? ColorKind::rgb : ColorKind::ycbcr;
    }
    if (header.component_count == 4) return adobe_transform_ > 0 ? ColorKind::ycck : ColorKind::cmyk;
    return ColorKind::unknown;
}

Status MarkerReader::read_frame(Header& header) {
    header = Header();
    if (jpeg_.size < 2) return fail(Code::truncated, "SOI", 0, "{} bytes are no JPEG", "B.2.1", int64_t(jpeg_.size));
    if (jpeg_.data[0] != 0xFF || jpeg_.data[1] != SOI)
        return malformed("SOI", 0, "the data do not begin with FF D8", "B.2.1");
    position_ = 2;
    bool frame_seen = false;
    uint8_t marker = 0;
    uint64_t offset = 0;
    while (next_marker(marker, offset)) {
        Status status;
        if (marker == SOS) {
            if (!frame_seen) return malformed("SOS", offset, "a scan before the frame header", "B.2.1");
            position_ = offset;
            header.color = color_kind(header);
            header.orientation = orientation_;
            header.restart_interval = restart_interval_;
            if (header.height == 0) status = read_dnl(header);
            if (status.ok()) set_geometry(header);
            if (header.process != Process::progressive && int(header.process) < 9) {
                for (int i = 0; i < 2; i++) {
                    set_standard(tables_.dc[i], standard_dc[i]);
                    set_standard(tables_.ac[i], standard_ac[i]);
                }
            }
            return status;
        }
        if (marker == EOI) return malformed("EOI", offset, "the image ends before a scan", "B.2.1");
        const bool sof = marker == 0xC0 || marker == 0xC1 || marker == 0xC2 || marker == 0xC9 || marker == 0xCA;
        if (sof && frame_seen) return malformed("SOF", offset, "a second frame header", "B.2.1");
        status = sof ? read_sof(marker, offset, header) : read_segment(marker, offset);
        if (!status.ok()) return status;
        frame_seen |= sof;
    }
    return fail(Code::truncated, frame_seen ? "SOS" : "SOF", jpeg_.size, "the data end before it", "B.2.1");
}

Status MarkerReader::check_tables(const Header& header, const Scan& scan) const {
    const bool arithmetic = int(header.process) >= 9;
    const bool needs_dc = needs_dc_tables(header, scan), needs_ac = needs_ac_tables(header, scan);
    for (int i = 0; i < scan.component_count; i++) {
        const ScanComponent& sc = scan.components[i];
        if (needs_dc && sc.dc_table > 3)
            return malformed("SOS", scan.offset_bytes, "DC table {} (0 to 3 exist)", "B.2.3", sc.dc_table);
        if (needs_ac && sc.ac_table > 3)
            return malformed("SOS", scan.offset_bytes, "AC table {} (0 to 3 exist)", "B.2.3", sc.ac_table);
        if (arithmetic) continue;
        Status status;
        if (needs_dc) {
            if (!tables_.dc[sc.dc_table].defined)
                return malformed("SOS", scan.offset_bytes, "DC Huffman table {} is not defined", "B.2.3", sc.dc_table);
            status = check_codes(tables_.dc[sc.dc_table], true);
        }
        if (needs_ac && status.ok()) {
            if (!tables_.ac[sc.ac_table].defined)
                return malformed("SOS", scan.offset_bytes, "AC Huffman table {} is not defined", "B.2.3", sc.ac_table);
            status = check_codes(tables_.ac[sc.ac_table], false);
        }
        if (!status.ok()) return status;
    }
    return Status();
}

Status MarkerReader::read_sos(const Header& header, uint64_t offset, Scan& scan) {
    scan = Scan();
    scan.offset_bytes = offset;
    Bytes body;
    Status status = segment_body("SOS", offset, body);
    if (!status.ok()) return status;
    const uint32_t count = body.size ? body.data[0] : 0;
    if (count < 1 || count > 4 || body.size != 4 + 2 * count)
        return malformed("SOS", offset, "a segment length of {}", "B.2.3", int64_t(body.size + 2));
    scan.component_count = uint8_t(count);
    uint32_t blocks = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t* p = body.data + 1 + 2 * i;
        // Files with repeated identifiers exist; libjpeg takes the first component at or after the same place in the frame.
        uint32_t index = i;
        while (index < header.component_count && header.components[index].identifier != p[0]) index++;
        if (index >= header.component_count)
            return malformed("SOS", offset, "no component has the identifier {}", "B.2.3", p[0]);
        for (uint32_t j = 0; j < i; j++)
            if (scan.components[j].index == index)
                return malformed("SOS", offset, "component {} is named twice", "B.2.3", p[0]);
        scan.components[i].index = uint8_t(index);
        scan.components[i].dc_table = p[1] >> 4;
        scan.components[i].ac_table = p[1] & 15;
        blocks += uint32_t(header.components[index].horizontal_sampling_factor) *
                  header.components[index].vertical_sampling_factor;
    }
    if (count > 1 && blocks > blocks_per_mcu_limit)
        return malformed("SOS", offset, "{} blocks an MCU (10 are allowed)", "B.2.3", blocks);
    const uint8_t* p = body.data + 1 + 2 * count;
    // Encoders write all sorts of values into sequential scans, whose band is always whole (B.2.3): Scan's defaults stand, as
    // libjpeg has it.
    if (header.process == Process::progressive || header.process == Process::arithmetic_progressive) {
        scan.Ss = p[0];
        scan.Se = p[1];
        scan.Ah = p[2] >> 4;
        scan.Al = p[2] & 15;
    }
    scan.restart_interval = restart_interval_;
    scan.data_offset_bytes = position_;
    if (count == 1) {
        scan.mcus_wide = header.components[scan.components[0].index].blocks_wide;
        scan.mcus_high = header.components[scan.components[0].index].blocks_high;
    } else {
        scan.mcus_wide = ceil_divide(header.width, 8 * header.max_horizontal_sampling_factor);
        scan.mcus_high = ceil_divide(header.height, 8 * header.max_vertical_sampling_factor);
    }
    return Status();
}

Status MarkerReader::latch_quantization(const Header& header, const Scan& scan) {
    for (int i = 0; i < scan.component_count; i++) {
        const int index = scan.components[i].index;
        if (components_seen_ >> index & 1) continue;
        const uint8_t tq = header.components[index].quantization_table_id;
        if (tq > 3 || !quantization_defined_[tq])
            return malformed("SOS", scan.offset_bytes, "quantization table {} is not defined", "B.2.2", tq);
        std::memcpy(latched_[index], quantization_[tq], sizeof latched_[index]);
        components_seen_ |= 1u << index;
    }
    return Status();
}

Status MarkerReader::next_scan(const Header& header, Scan& scan, bool& found) {
    found = false;
    uint8_t marker = 0;
    uint64_t offset = 0;
    while (next_marker(marker, offset)) {
        Status status;
        if (marker == EOI) {
            saw_eoi_ = true;
            return status;
        }
        const bool sof = marker == 0xC0 || marker == 0xC1 || marker == 0xC2 || marker == 0xC9 || marker == 0xCA;
        if (sof) return malformed("SOF", offset, "a second frame header", "B.2.1");
        if (marker == SOS) {
            status = read_sos(header, offset, scan);
            if (status.ok()) status = check_tables(header, scan);
            if (status.ok()) status = latch_quantization(header, scan);
            found = status.ok();
            return status;
        }
        status = read_segment(marker, offset);
        if (!status.ok()) return status;
    }
    return Status();
}

Status read_header(Bytes jpeg, Header& header) {
    MarkerReader reader(jpeg);
    return reader.read_frame(header);
}

}  // namespace jpegfreq
