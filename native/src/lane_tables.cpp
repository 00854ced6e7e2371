#include "lane_tables.h"

#include <algorithm>

#include "standard_tables.h"

namespace jpegfreq {
namespace {

constexpr int32_t sub_state(int number) { return int32_t(number) << place_bits; }

// `back`: out of the sub-state of this level (build_lane_table). A lane that stayed in it would never be seen to end.
// Behind a DC code, the slot it fills is that of the next block's DC: the mark is put there again.
constexpr LaneEntry no_code_entry(int32_t back) { return {0, 0, no_dc, 256 + back}; }

int32_t extend(int32_t bits, int size) { return bits >> (size - 1) ? bits : bits - (1 << size) + 1; }

// The codes of all lengths, left-aligned to 16 bits.
struct CodeWord {
    uint16_t first;
    uint8_t length, symbol;
};

// Fills the entries of all look-ups that begin with this code. `consumed`: bits of it that earlier levels took. `available`: bits
// after the code within the look-up.
void fill_entries(const CodeWord& code, bool is_dc, int consumed, int available, int32_t back, LaneEntry* entries) {
    const int size = is_dc ? code.symbol : code.symbol & 15;
    const int run = is_dc ? 0 : code.symbol >> 4;
    const int length = code.length - consumed;
    LaneEntry entry = {uint8_t(length), 0, 0, (is_dc ? 130 : 2 * (run + 1)) + back};
    if (!is_dc && size == 0 && run < 15) {  // EOB; ZRL is 16 zeros
        entry.mask = 126;
        entry.advance = 2 + back;
    } else if (size > longest_value) {  // only 12-bit files have such values (F.1.2.1.1, F.1.2.2.1)
        entry = no_code_entry(back);
    } else if (size > available) {
        entry.advance += sub_state(size);
        if (size <= lane_bits) entry.bits = uint8_t(length - (lane_bits - size));
    } else if (size > 0) {
        entry.bits = uint8_t(length + size);
        const int alike = 1 << (available - size);
        for (int bits = 0; bits < 1 << size; bits++, entries += alike) {
            entry.value = int16_t(extend(bits, size));
            std::fill_n(entries, alike, entry);
        }
        return;
    }
    std::fill_n(entries, 1 << available, entry);
}

}  // namespace

void build_lane_table(const HuffmanSpec& spec, bool is_dc, LaneTable& table, LaneEntry* all_entries) {
    table.spec = spec;
    table.is_dc = is_dc;
    table.fits = true;
    CodeWord codes[256];
    int count = 0;
    uint32_t next = 0;
    for (int length = 1; length <= 16; length++) {
        for (int i = 0; i < spec.code_counts[length - 1]; i++, count++)
            codes[count] = CodeWord{uint16_t(next++ << (16 - length)), uint8_t(length), spec.values[count]};
        next <<= 1;
    }
    // Codes ascend with their length, so those too long for a level are the end of its code space. A level takes their
    // common leading ones; `consumed` counts them.
    int consumed = 0, done = 0;
    table.levels = 0;
    for (int level = 0; level < code_levels; level++) {
        LaneEntry* entries = all_entries + level * lane_entries;
        const int32_t back = level ? 128 - sub_state(first_level_state + level - 1) : 0;
        std::fill_n(entries, lane_entries, no_code_entry(back));
        table.levels++;
        for (; done < count && codes[done].length - consumed <= lane_bits; done++) {
            const CodeWord& code = codes[done];
            const int available = lane_bits - (code.length - consumed);
            const int first = int(uint16_t(code.first << consumed) >> (16 - lane_bits));
            fill_entries(code, is_dc, consumed, available, back, entries + first);
        }
        if (done == count) return;
        const int long_first = int(uint16_t(codes[done].first << consumed) >> (16 - lane_bits));
        int width = 0;
        while (1 << width < lane_entries - long_first) width++;
        const int taken = lane_bits - width;
        if (taken == 0 || level + 1 == code_levels) break;
        const LaneEntry on = {uint8_t(taken), 0, 0, sub_state(first_level_state + level) - 128 + back};
        std::fill(entries + long_first, entries + lane_entries, on);
        consumed += taken;
    }
    table.fits = false;
}

void build_constant_tables(LaneEntry* all_entries) {
    const auto table = [&](int number) { return all_entries + number * lane_entries; };
    for (int i = 0; i < lane_entries; i++) {
        table(no_code_table)[i] = no_code_entry(0);
        table(end_table)[i] = {0, 0, 0, 128};
    }
    for (int size = 1; size <= lane_bits; size++)
        for (int i = 0; i < lane_entries; i++)
            table(size)[i] = {lane_bits, 0, int16_t(extend(i & ((1 << size) - 1), size)), -sub_state(size)};
    // Longer values: first their leading bits, then the rest.
    int rest = first_rest_state;
    for (int size = lane_bits + 1; size <= longest_value; size++) {
        const int leading = size - lane_bits;
        for (int i = 0; i < lane_entries; i++)
            table(size)[i] = {uint8_t(leading), 0, 0, sub_state(rest + (i >> (lane_bits - leading))) - sub_state(size)};
        for (int high = 0; high < 1 << leading; high++, rest++)
            for (int i = 0; i < lane_entries; i++)
                table(rest)[i] = {lane_bits, 0, int16_t(extend(high << lane_bits | i, size)), -sub_state(rest)};
    }
}

void build_slots(uint16_t* slot_of) {
    for (int place = 0; place < 1 << place_bits; place += 2) {
        // p - 2 is the slot just passed: coefficient ((p - 2) & 127) / 2 of its block, in the block's upper half.
        const int before = place ? place - 2 : 0;
        const bool data = before & 128;
        slot_of[place / 2] = uint16_t(data ? (before & ~127) + 2 * natural_order[(before & 127) / 2] : before);
    }
}

}  // namespace jpegfreq
