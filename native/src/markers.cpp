#include "markers.h"

#include <cstring>

#include "big_endian.h"
#include "standard_tables.h"
#include "status.h"

namespace jpegfreq {

namespace {

uint32_t ceil_divide(uint64_t a, uint64_t b) { return uint32_t((a + b - 1) / b); }

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

const char* process_name(uint8_t marker) {
    switch (marker) {
        case SOF3: return "the lossless process (SOF3)";
        case SOF5: return "the hierarchical process: differential sequential (SOF5)";
        case SOF6: return "the hierarchical process: differential progressive (SOF6)";
        case SOF7: return "the hierarchical process: differential lossless (SOF7)";
        case SOF11: return "the lossless process with arithmetic coding (SOF11)";
        case SOF13: return "the hierarchical process: differential sequential, arithmetic (SOF13)";
        case SOF14: return "the hierarchical process: differential progressive, arithmetic (SOF14)";
        case SOF15: return "the hierarchical process: differential lossless, arithmetic (SOF15)";
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
        } else if (next == 0 || is_restart(next)) {
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

// The body of the segment whose length field is at position_; position_ moves to the end of the segment.
Status MarkerReader::segment_body(const char* name, uint64_t offset, Bytes& body) {
    if (jpeg_.size - position_ < 2) return truncated(name, offset, "the data end inside the segment", "B.1.1.4");
    uint32_t length = be16(jpeg_.data + position_);
    if (length < 2) return malformed(name, offset, "a segment length of {}", "B.1.1.4", length);
    if (length > jpeg_.size - position_)
        return truncated(name, offset, "the data end inside the segment of {} bytes", "B.1.1.4", length);
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

// Reads any segment except SOF, SOS and EOI. position_ is just after its marker.
Status MarkerReader::read_segment(uint8_t marker, uint64_t offset) {
    if (is_restart(marker) || marker == TEM) return Status();
    if (marker == SOI) return malformed("SOI", offset, "a second SOI", "B.2.1");
    if (const char* name = process_name(marker))
        return unsupported(name, offset, "not a DCT-based process of Annexes F and G", "");
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
    application_.read(marker, body);
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
        return unsupported("SOF", offset, "a sample precision of {} bits", "B.2.2", header.precision);
    if (count > max_components) return unsupported("SOF", offset, "{} components (1 to 4 are read)", "B.2.2", count);
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
    if (size - sos < 4) return truncated("SOS", sos, "the data end inside the segment", "B.1.1.4");
    const uint64_t scan_data = sos + 2 + be16(jpeg_.data + sos + 2);
    const uint64_t dnl = scan_data < size ? find_marker(jpeg_, scan_data) : size;
    if (dnl >= size)
        return truncated("SOF", header.frame_offset_bytes, "0 lines, and the data end before a DNL segment", "B.2.5");
    if (jpeg_.data[dnl + 1] != DNL)
        return malformed("SOF", header.frame_offset_bytes, "0 lines, and no DNL segment after the first scan", "B.2.5");
    if (size - dnl < 6) return truncated("DNL", dnl, "the data end inside the segment", "B.2.5");
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

Status MarkerReader::read_frame(Header& header) {
    header = Header();
    if (jpeg_.size < 2) return truncated("SOI", 0, "{} bytes are no JPEG", "B.2.1", int64_t(jpeg_.size));
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
            header.color = application_.color(header);
            header.orientation = application_.orientation;
            header.restart_interval = restart_interval_;
            if (header.height == 0) status = read_dnl(header);
            if (status.ok()) set_geometry(header);
            if (is_huffman_sequential(header.process)) set_missing_tables(tables_);
            return status;
        }
        if (marker == EOI) return malformed("EOI", offset, "the image ends before a scan", "B.2.1");
        const bool sof = is_frame_header(marker);
        if (sof && frame_seen) return malformed("SOF", offset, "a second frame header", "B.2.1");
        status = sof ? read_sof(marker, offset, header) : read_segment(marker, offset);
        if (!status.ok()) return status;
        frame_seen |= sof;
    }
    return truncated(frame_seen ? "SOS" : "SOF", jpeg_.size, "the data end before it", "B.2.1");
}

Status MarkerReader::check_tables(const Header& header, const Scan& scan) const {
    const bool needs_dc = needs_dc_tables(header, scan), needs_ac = needs_ac_tables(header, scan);
    for (int i = 0; i < scan.component_count; i++) {
        const ScanComponent& sc = scan.components[i];
        if (needs_dc && sc.dc_table > 3)
            return malformed("SOS", scan.offset_bytes, "DC table {} (0 to 3 exist)", "B.2.3", sc.dc_table);
        if (needs_ac && sc.ac_table > 3)
            return malformed("SOS", scan.offset_bytes, "AC table {} (0 to 3 exist)", "B.2.3", sc.ac_table);
        if (is_arithmetic(header.process)) continue;
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
    if (is_progressive(header.process)) {
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
        if (is_frame_header(marker)) return malformed("SOF", offset, "a second frame header", "B.2.1");
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
