// Huffman codes as look-up tables (T.81 C, F.2.2.3); the entries are those of the sequential processes.
#pragma once

#include "markers.h"
#include "standard_tables.h"

namespace jpegfreq {

constexpr int table_bits = 10;

// One look-up of 10 bits gives code, run and value together. An entry, low bits first:
//   0-5   bits used: code and value together; of an escape: the code alone, 0 where the code itself is longer than 10 bits
//   6     escape: the value (or the code) does not fit into 10 bits
//   8-15  advance of k: run + 1; 16 for ZRL (run 15, no value); 128 for EOB
//   16-31 value, int16; of an escape: its size in bits
// DC tables: advance 0 and the value is the difference.
constexpr uint32_t entry_escape = 1u << 6;
constexpr uint32_t advance_end_of_block = 128;

// Codes over 10 bits: those of length n are below limits[n - 11], left-aligned to 16 bits (limits ascend with n).
struct LongCodes {
    uint32_t limits[6];
    int32_t value_offsets[6];  // index into values of the code c of length n: (c >> (16 - n)) + value_offsets[n - 11]
    uint8_t values[256];
};

struct HuffmanTable : LongCodes {
    uint32_t entries[1 << table_bits];
    bool is_dc;
};

// `spec` has passed check_codes of markers.cpp.
void build_long_codes(const HuffmanSpec& spec, LongCodes& codes);
void build_table(const HuffmanSpec& spec, bool is_dc, HuffmanTable& table);

// Functions of files that are compiled for several instruction sets are static, so that no object of one serves another.

// A long code: from its first 16 bits (left-aligned in `bits`) to its length and symbol. Length 0: no such code.
struct LongCode {
    int length;
    uint8_t symbol;
};
static inline LongCode find_long_code(const LongCodes& codes, uint32_t bits16) {
    for (int i = 0; i < 6; i++) {
        if (bits16 < codes.limits[i]) {
            const int32_t index = int32_t(bits16 >> (5 - i)) + codes.value_offsets[i];
            return LongCode{i + 11, codes.values[index & 255]};
        }
    }
    return LongCode{0, 0};
}

// F.2.2.1 EXTEND: `bits` holds `size` bits, right-aligned; size >= 1.
static inline int32_t extend(uint32_t bits, int size) {
    return int32_t(bits) - (int32_t((bits >> (size - 1)) ^ 1) * ((1 << size) - 1));
}

}  // namespace jpegfreq
