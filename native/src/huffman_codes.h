// Huffman tables for writing: the best ones for given frequencies (T.81 K.2), and the codes of a table (C.2).
#pragma once

#include "markers.h"

namespace jpegfreq {

// counts[s] is how often symbol s occurs; of 256. The sum is below 2^32. Codes have at most 16 bits and none is all ones.
void optimal_spec(const uint32_t* counts, HuffmanSpec& spec);

// Code and length by symbol, of 256; length 0 where the table has no such symbol.
struct HuffmanCode {
    uint16_t bits;
    uint8_t length;
};
void assign_codes(const HuffmanSpec& spec, HuffmanCode* codes);

}  // namespace jpegfreq
