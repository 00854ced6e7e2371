// The scans of a written file, one function per kind of process. Each writes its Huffman tables, scan headers and data.
#pragma once

#include "jpegfreq_write.h"
#include "scan_coder.h"
#include "scan_script.h"

namespace jpegfreq {

struct WriteTask {
    const Header& header;
    const int16_t* const* planes;
    bool optimize;
    ScanCoder& coder;           // of Huffman-coded scans
    JpegSink& arithmetic_data;  // of arithmetic-coded ones, before stuffing
    JpegSink& sink;
    CoefficientPlace& place;  // where a coefficient is out of range
};

// The bits that a coefficient may have (T.81 F.1.2.1.1, F.1.2.2.1): AC, and one more for a DC difference.
constexpr int most_ac_bits(const Header& header) { return header.precision == 8 ? 10 : 14; }

// One sequential scan (F.1.2). write_sequential.cpp
Status write_sequential_scan(const WriteTask& task, const Scan& scan);

// The bit maps of a component's blocks, and their DC coefficients. See Note [Bit maps of a block] in symbols.h.
struct MappedComponent {
    Buffer<int16_t> dc;
    Buffer<uint64_t> maps;
    int top = 0;
};
struct ProgressiveMaps {
    MappedComponent components[max_components];

    void trim();
};

// Before the scans of a progressive file (G.1), which go over the maps. write_progressive.cpp
Status map_components(const WriteTask& task, const ScanScript& script, ProgressiveMaps& maps);
Status write_progressive_scan(const WriteTask& task, const Scan& scan, const ProgressiveMaps& maps);

// One arithmetic-coded scan, sequential or progressive (F.1.4, G.1.3), with the default conditioning. write_arithmetic.cpp
Status write_arithmetic_scan(const WriteTask& task, const Scan& scan);

// Look for the coefficient that is out of range, and tell its place. out_of_range.cpp
Status find_ac_out_of_range(const WriteTask& task, int component);
Status find_dc_out_of_range(const WriteTask& task, const Scan& scan);

}  // namespace jpegfreq
