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
    ScanCoder& coder;
    JpegSink& sink;
    CoefficientPlace& place;  // where a coefficient is out of range
};

// The bits that a coefficient may have (T.81 F.1.2.1.1, F.1.2.2.1): AC, and one more for a DC difference.
constexpr int most_ac_bits(const Header& header) { return header.precision == 8 ? 10 : 14; }

// One sequential scan (F.1.2). write_sequential.cpp
Status write_sequential_scan(const WriteTask& task, const Scan& scan);

}  // namespace jpegfreq
