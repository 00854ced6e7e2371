#include "huffman.h"

#include <cstring>

namespace jpegfreq {

void build_long_codes(const HuffmanSpec& spec, LongCodes& codes) {
    std::memcpy(codes.values, spec.values, sizeof codes.values);
    uint32_t code = 0;
    int index = 0;
    for (int length = 1; length <= 16; length++) {
        if (length > table_bits) codes.value_offsets[length - 11] = index - int32_t(code);
        code += spec.code_counts[length - 1];
        index += spec.code_counts[length - 1];
        if (length > table_bits) codes.limits[length - 11] = code << (16 - length);
        code <<= 1;
    }
}

void build_table(const HuffmanSpec& spec, bool is_dc, HuffmanTable& table) {
    // An unused code is an escape of length 0 that find_long_code does not find.
    for (uint32_t& entry : table.entries) entry = entry_escape;
    build_long_codes(spec, table);
    table.is_dc = is_dc;
    uint32_t code = 0;
    int index = 0;
    for (int length = 1; length <= table_bits; length++) {
        for (int i = 0; i < spec.code_counts[length - 1]; i++, code++, index++) {
            const int symbol = spec.values[index];
            const int run = is_dc ? 0 : symbol >> 4;
            const int size = is_dc ? symbol : symbol & 15;
            uint32_t advance = is_dc ? 0 : uint32_t(run + 1);
            if (!is_dc && size == 0) advance = run == 15 ? 16 : advance_end_of_block;
            const uint32_t first = code << (table_bits - length);
            const uint32_t count = 1u << (table_bits - length);
            for (uint32_t low = 0; low < count; low++) {
                uint32_t entry;
                if (length + size > table_bits) {
                    entry = uint32_t(length) | entry_escape | advance << 8 | uint32_t(size) << 16;
                } else {
                    const int32_t value = size ? extend(low >> (table_bits - length - size), size) : 0;
                    entry = uint32_t(length + size) | advance << 8 | uint32_t(value) << 16;
                }
                table.entries[first + low] = entry;
            }
        }
        code <<= 1;
    }
}

}  // namespace jpegfreq
