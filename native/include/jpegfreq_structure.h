// What a file is made of, for people who want to look inside: segments, scans and their tables. Decodes nothing.
#pragma once

#include "jpegfreq.h"

namespace jpegfreq {

struct Segment {
    uint8_t marker = 0;         // second byte of the marker
    uint64_t offset_bytes = 0;  // of the marker
    uint64_t size_bytes = 0;    // marker and length included; without the entropy-coded data after an SOS
};

// As a scan uses it (T.81 B.2.4.2).
struct ScanHuffmanTable {
    bool is_ac = false;
    uint8_t identifier = 0;
    uint8_t code_counts[16] = {};  // BITS: codes of length i + 1
    uint16_t value_count = 0;
    const uint8_t* values = nullptr;  // HUFFVAL; valid during the visit
    uint64_t offset_bytes = 0;  // of the DHT marker that defined it; 0 for a table of K.3 that the file leaves out
};

struct ScanStructure {
    uint8_t component_count = 0;
    uint8_t component_index[max_components] = {};  // into Header::components
    uint8_t dc_table[max_components] = {};
    uint8_t ac_table[max_components] = {};
    uint8_t Ss = 0, Se = 0, Ah = 0, Al = 0;
    uint32_t restart_interval = 0;
    uint64_t offset_bytes = 0;  // of the SOS marker
    uint64_t data_offset_bytes = 0;
    uint64_t data_size_bytes = 0;
    uint8_t huffman_table_count = 0;
    ScanHuffmanTable huffman_tables[2 * max_components];
};

// APPn or COM: what read_header takes for a foreign segment.
constexpr bool is_application_or_comment(uint8_t marker) {
    return (marker >= 0xE0 && marker <= 0xEF) || marker == 0xFE;
}

class SegmentVisitor {
public:
    virtual ~SegmentVisitor() = default;
    virtual void segment(const Segment& segment) = 0;
};

class StructureVisitor : public SegmentVisitor {
public:
    virtual void scan(const ScanStructure& scan) = 0;
    // Once for each component that a scan named, after the last scan: natural order, in force at its first scan.
    virtual void quantization_table(int component, const uint16_t* table) = 0;
};

// Every segment up to EOI, or to the first one that the data do not hold to its end.
void visit_segments(Bytes jpeg, SegmentVisitor& visitor);

// `header` is what read_header gave for the same bytes. If there is a fault, visits everything before it.
Status read_structure(Bytes jpeg, const Header& header, const Limits& limits, StructureVisitor& visitor);

}  // namespace jpegfreq
