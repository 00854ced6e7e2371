// The entropy decoders, one per kind of process. All write into Output's planes (which decoder.cpp zeroes beforehand for
// arithmetic coding only) and add to `damages` where and why something could not be decoded. The Status they return is that
// of an error that leaves no coefficients: out of memory.
#pragma once

#include "damages.h"
#include "markers.h"

namespace jpegfreq {

// Blocks of a component that the progressive decoder decodes at a time, at most: so that they stay in the second-level cache while
// all scans pass over them.
constexpr uint32_t band_blocks = 1024;

// All scans of a progressive file (SOF2), from the reader's position to EOI. With a sink, `output` holds held_mcu_rows, and
// nothing more is decoded after damage. progressive.cpp
class ProgressiveScratch;
ProgressiveScratch* new_progressive_scratch();
void delete_progressive_scratch(ProgressiveScratch*);
Status decode_progressive(MarkerReader& reader, const Header& header, const Limits& limits, Output& output,
                          ProgressiveScratch& scratch, Damages& damages, RowSink* sink = nullptr);

// All scans of an arithmetic-coded file (SOF9, SOF10). arithmetic.cpp
Status decode_arithmetic(MarkerReader& reader, const Header& header, const Limits& limits, Output& output,
                         Damages& damages);

// No component is missing silently: where `damages` is empty, every component (a bit each in `decoded`) must have had a
// scan. decoder.cpp
void add_missing_scan(const MarkerReader& reader, const Header& header, uint32_t decoded, Damages& damages);

}  // namespace jpegfreq
