// Tables that T.81 itself lists.
#pragma once

#include "markers.h"

namespace jpegfreq {

// Zigzag index -> 8 * v + u (figure A.6). A run past coefficient 63 may touch 16 more entries before it is noticed; they
// repeat 63.
extern const uint8_t natural_order[64 + 16];

// Motion JPEG frames leave their Huffman tables out. Fills tables 0 and 1 with those of K.3 unless the file defines them,
// as libjpeg does for sequential files.
void set_missing_tables(Tables& tables);

}  // namespace jpegfreq
