#include "written_tables.h"

#include <cstring>

#include "standard_tables.h"

namespace jpegfreq {

namespace {

bool is_equal(const uint16_t* a, const uint16_t* b) { return std::memcmp(a, b, 64 * sizeof *a) == 0; }

bool needs_16_bits(const uint16_t* table) {
    for (int i = 0; i < 64; i++)
        if (table[i] > 255) return true;
    return false;
}

// Whether the component is the first with its table number.
bool brings_table(const Header& header, int component) {
    for (int c = 0; c < component; c++)
        if (header.components[c].quantization_table_id == header.components[component].quantization_table_id)
            return false;
    return true;
}

void write_spec(const HuffmanSpec& spec, int class_and_number, JpegSink& sink) {
    sink.put(uint8_t(class_and_number));
    sink.put(Bytes{spec.code_counts, 16});
    sink.put(Bytes{spec.values, spec.value_count});
}

}  // namespace

void number_tables(Header& header, const uint16_t (*tables)[64]) {
    bool is_sound = true;
    for (int c = 0; c < header.component_count; c++) {
        is_sound &= header.components[c].quantization_table_id < 4;
        for (int other = 0; other < c; other++)
            if (header.components[c].quantization_table_id == header.components[other].quantization_table_id)
                is_sound &= is_equal(tables[c], tables[other]);
    }
    if (is_sound) return;
    uint8_t used = 0;
    for (int c = 0; c < header.component_count; c++) {
        int other = 0;
        while (other < c && !is_equal(tables[c], tables[other])) other++;
        header.components[c].quantization_table_id =
            other < c ? header.components[other].quantization_table_id : used++;
    }
}

void write_quantization_tables(const Header& header, const uint16_t (*tables)[64], JpegSink& sink) {
    size_t bytes = 0;
    for (int c = 0; c < header.component_count; c++)
        if (brings_table(header, c)) bytes += needs_16_bits(tables[c]) ? 129 : 65;
    sink.segment(DQT, bytes);
    for (int c = 0; c < header.component_count; c++) {
        if (!brings_table(header, c)) continue;
        const bool is_wide = needs_16_bits(tables[c]);
        sink.put(uint8_t(is_wide << 4 | header.components[c].quantization_table_id));
        for (int k = 0; k < 64; k++) {
            const uint16_t value = tables[c][natural_order[k]];
            if (is_wide) {
                sink.put16(value);
            } else {
                sink.put(uint8_t(value));
            }
        }
    }
}

void write_frame(const Header& header, JpegSink& sink) {
    sink.segment(uint8_t(SOF0 + int(header.process)), 6 + 3 * size_t(header.component_count));
    sink.put(header.precision);
    sink.put16(header.height);
    sink.put16(header.width);
    sink.put(header.component_count);
    for (int c = 0; c < header.component_count; c++) {
        const Component& component = header.components[c];
        sink.put(component.identifier);
        sink.put(uint8_t(component.horizontal_sampling_factor << 4 | component.vertical_sampling_factor));
        sink.put(component.quantization_table_id);
    }
}

void write_huffman_tables(const Tables& tables, JpegSink& sink) {
    size_t bytes = 0;
    for (int i = 0; i < 4; i++) {
        if (tables.dc[i].defined) bytes += 17 + size_t(tables.dc[i].value_count);
        if (tables.ac[i].defined) bytes += 17 + size_t(tables.ac[i].value_count);
    }
    if (bytes == 0) return;
    sink.segment(DHT, bytes);
    for (int i = 0; i < 4; i++) {
        if (tables.dc[i].defined) write_spec(tables.dc[i], i, sink);
        if (tables.ac[i].defined) write_spec(tables.ac[i], 0x10 | i, sink);
    }
}

void write_restart_interval(uint32_t interval, JpegSink& sink) {
    sink.segment(DRI, 2);
    sink.put16(interval);
}

void write_scan_header(const Header& header, const Scan& scan, JpegSink& sink) {
    sink.segment(SOS, 4 + 2 * size_t(scan.component_count));
    sink.put(scan.component_count);
    for (int i = 0; i < scan.component_count; i++) {
        const ScanComponent& component = scan.components[i];
        sink.put(header.components[component.index].identifier);
        // B.2.3: 0 where the scan uses no such table.
        const uint8_t dc = needs_dc_tables(header, scan) ? component.dc_table : 0;
        const uint8_t ac = needs_ac_tables(header, scan) ? component.ac_table : 0;
        sink.put(uint8_t(dc << 4 | ac));
    }
    sink.put(scan.Ss);
    sink.put(scan.Se);
    sink.put(uint8_t(scan.Ah << 4 | scan.Al));
}

}  // namespace jpegfreq
