// The entropy decoders, one a process. All write into Output's planes (which decoder.cpp has zeroed for
// arithmetic coding only) and return where and why they stopped. Each leaves the reader at the end of what it consumed.
#pragma once

#include "markers.h"

namespace jpegfreq {

// All scans of a progressive file (SOF2), from the reader's position to EOI. progressive.cpp
class ProgressiveScratch;
ProgressiveScratch* new_progressive_scratch();
void delete_progressive_scratch(ProgressiveScratch*);
Status decode_progressive(MarkerReader& reader, const Header& header, const Limits& limits, Output& output,
                          ProgressiveScratch& scratch);

// All scans of an arithmetic-coded file (SOF9, SOF10). arithmetic.cpp
Status decode_arithmetic(MarkerReader& reader, const Header& header, const Limits& limits, Output& output);

// Nothing is silently short: every component (a bit each in `decoded`) must have had a scan, or the data ended too early.
// decoder.cpp
Status check_complete(const MarkerReader& reader, const Header& header, uint32_t decoded);

}  // namespace jpegfreq
