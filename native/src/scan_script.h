// Which scans a written file has: libjpeg's default script, or one that the caller gave.
#pragma once

#include "buffer.h"
#include "jpegfreq_write.h"
#include "markers.h"

namespace jpegfreq {

constexpr int most_written_scans = 256;  // 64 for each component's coefficients would do; the rest are refinements

struct ScanScript {
    Scan scans[most_written_scans];
    int count = 0;
};

// Fills and checks the script. Every coefficient is written with every bit, each component once in a sequential frame, and no
// MCU is larger than T.81 B.2.3 allows. Restart intervals are those of `options`; the tables by colour, as libjpeg has it.
Status make_script(const Header& header, const WriteOptions& options, ScanScript& script);

}  // namespace jpegfreq
