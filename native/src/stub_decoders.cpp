// Stands in until progressive.cpp is here.
#include "scan_decoders.h"

namespace jpegfreq {

#define WEAK __attribute__((weak))

WEAK ProgressiveScratch* new_progressive_scratch() { return nullptr; }
WEAK void delete_progressive_scratch(ProgressiveScratch*) {}
WEAK Status decode_progressive(MarkerReader&, const Header& header, const Limits&, Output&, ProgressiveScratch&) {
    return {Code::unsupported, "SOF", "progressive decoding is not built yet", "", header.frame_offset_bytes, 0};
}

}  // namespace jpegfreq
