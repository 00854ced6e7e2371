#include "jpegfreq_structure.h"

#include <cstring>

#include "markers.h"

namespace jpegfreq {

namespace {

// A reserved marker among restart intervals is junk that the decoders skip.
uint64_t find_scan_end(Bytes jpeg, const Scan& scan) {
    uint64_t end = find_marker(jpeg, scan.data_offset_bytes);
    while (scan.restart_interval && end + 1 < jpeg.size && is_reserved(jpeg.data[end + 1]))
        end = find_marker(jpeg, end + 2);
    return end;
}

void add_table(const HuffmanSpec& spec, bool is_ac, uint8_t identifier, ScanStructure& scan) {
    for (int i = 0; i < scan.huffman_table_count; i++) {
        if (scan.huffman_tables[i].is_ac == is_ac && scan.huffman_tables[i].identifier == identifier) return;
    }
    ScanHuffmanTable& table = scan.huffman_tables[scan.huffman_table_count++];
    table.is_ac = is_ac;
    table.identifier = identifier;
    std::memcpy(table.code_counts, spec.code_counts, sizeof table.code_counts);
    table.value_count = spec.value_count;
    table.values = spec.values;
    table.offset_bytes = spec.offset_bytes;
}

void visit_scan(const MarkerReader& reader, const Header& header, const Scan& source, uint64_t end,
                StructureVisitor& visitor) {
    ScanStructure scan;
    scan.component_count = source.component_count;
    scan.Ss = source.Ss;
    scan.Se = source.Se;
    scan.Ah = source.Ah;
    scan.Al = source.Al;
    scan.restart_interval = source.restart_interval;
    scan.offset_bytes = source.offset_bytes;
    scan.data_offset_bytes = source.data_offset_bytes;
    scan.data_size_bytes = end - source.data_offset_bytes;
    const bool huffman = !is_arithmetic(header.process);
    const bool needs_dc = needs_dc_tables(header, source), needs_ac = needs_ac_tables(header, source);
    for (int i = 0; i < source.component_count; i++) {
        const ScanComponent& component = source.components[i];
        scan.component_index[i] = component.index;
        scan.dc_table[i] = component.dc_table;
        scan.ac_table[i] = component.ac_table;
        // next_scan() checked that the tables a Huffman scan needs have identifiers below 4.
        if (huffman && needs_dc) add_table(reader.tables().dc[component.dc_table], false, component.dc_table, scan);
        if (huffman && needs_ac) add_table(reader.tables().ac[component.ac_table], true, component.ac_table, scan);
    }
    visitor.scan(scan);
}

}  // namespace

void visit_segments(Bytes jpeg, SegmentVisitor& visitor) {
    uint64_t offset = 0;
    while ((offset = find_marker(jpeg, offset)) < jpeg.size) {
        Segment segment;
        segment.marker = jpeg.data[offset + 1];
        segment.offset_bytes = offset;
        segment.size_bytes = 2;
        if (segment.marker != SOI && segment.marker != EOI && segment.marker != TEM) {
            if (jpeg.size - offset < 4) return;
            segment.size_bytes += uint64_t(jpeg.data[offset + 2]) << 8 | jpeg.data[offset + 3];
            if (segment.size_bytes > jpeg.size - offset) return;
        }
        visitor.segment(segment);
        if (segment.marker == EOI) return;
        offset += segment.size_bytes;
    }
}

Status read_structure(Bytes jpeg, const Header& header, const Limits& limits, StructureVisitor& visitor) {
    visit_segments(jpeg, visitor);
    MarkerReader reader(jpeg);
    Header same;
    Status status = reader.read_frame(same);
    Scan scan;
    for (uint32_t count = 0; status.ok(); count++) {
        bool found = false;
        status = reader.next_scan(header, scan, found);
        if (!found) break;
        if (count == limits.max_scans) {
            return {Code::unsupported, "SOS", "more than {} scans", "", scan.offset_bytes, int64_t(limits.max_scans)};
        }
        const uint64_t end = find_scan_end(jpeg, scan);
        visit_scan(reader, header, scan, end, visitor);
        reader.seek(end);
    }
    for (int c = 0; c < header.component_count; c++) {
        if (reader.components_seen() >> c & 1) visitor.quantization_table(c, reader.quantization_table(c));
    }
    return status;
}

}  // namespace jpegfreq
