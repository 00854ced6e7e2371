// A scan's data and tables, made ready for the kernels.
#include <cstring>

#include "progressive_kernels.h"

namespace jpegfreq {
namespace {

// C.2: the codes of up to table_bits bits, in the order of HUFFVAL.
template <class F>
void for_each_short_code(const HuffmanSpec& spec, F visit) {
    uint32_t code = 0, index = 0;
    for (uint32_t length = 1; length <= table_bits; length++, code <<= 1)
        for (uint32_t i = 0; i < spec.code_counts[length - 1]; i++) visit(code++, length, spec.values[index++ & 255]);
}

uint32_t reverse(uint32_t value, uint32_t bits) { return reverse16(value) >> (16 - bits); }

}  // namespace

size_t copy_reversed_to_ff(const uint8_t* __restrict in, const uint8_t* end, uint8_t* __restrict out) {
    const void* hit = in < end ? std::memchr(in, 0xFF, size_t(end - in)) : nullptr;
    const size_t count = size_t((hit ? static_cast<const uint8_t*>(hit) : end) - in);
    for (size_t i = 0; i < count; i++) {
        uint8_t byte = in[i];
        byte = uint8_t((byte & 0x55) << 1 | (byte >> 1 & 0x55));
        byte = uint8_t((byte & 0x33) << 2 | (byte >> 2 & 0x33));
        out[i] = uint8_t(byte << 4 | byte >> 4);
    }
    return count;
}

// DC tables go here too: their symbols are those of AC coefficients with a run of 0.
void build_first_table(const HuffmanSpec& spec, uint32_t Al, ScanTable& table) {
    for (uint32_t& entry : table.entries) entry = first_apart;
    for_each_short_code(spec, [&](uint32_t code, uint32_t length, uint32_t symbol) {
        const uint32_t room = table_bits - length, extra = extra_bits(symbol);
        uint32_t* entry = table.entries + ((code << room) & ((1 << table_bits) - 1));
        if (extra > room) {
            for (uint32_t i = 0; i < 1u << room; i++) entry[i] = length | first_apart | symbol << 16;
            return;
        }
        for (uint32_t value = 0; value < 1u << extra; value++) {
            const uint32_t meaning = first_meaning(symbol, value, Al);
            const bool is_zero = (meaning >> 16) == 0 && (meaning >> 8) != end_of_band;
            const uint32_t filled = is_zero ? length | first_apart | symbol << 16 : (length + extra) | meaning;
            for (uint32_t i = 0; i < 1u << (room - extra); i++) *entry++ = filled;
        }
    });
    build_long_codes(spec, table);
}

void build_refinement_table(const HuffmanSpec& spec, ScanTable& table) {
    for (uint32_t& entry : table.entries) entry = refine_apart;
    for_each_short_code(spec, [&](uint32_t code, uint32_t length, uint32_t symbol) {
        const uint32_t room = table_bits - length, extra = extra_bits(symbol);
        const bool apart = extra > room || (symbol & 15) > 1;
        const uint32_t taken = apart ? length : length + extra;
        for (uint32_t value = 0; value < (apart ? 1u : 1u << extra); value++) {
            const uint32_t filled = apart ? refine_apart | symbol | length << refine_length_shift
                                          : refinement_meaning(symbol, value, taken);
            const uint32_t first = reverse((apart ? code : code << extra | value) & ((1 << taken) - 1), taken);
            for (uint32_t i = first; i < 1 << table_bits; i += 1u << taken) table.entries[i] = filled;
        }
    });
    build_long_codes(spec, table);
}

}  // namespace jpegfreq
