// Tables of the interleaved decoder (lanes.h): Huffman codes and values as one automaton, without a branch per symbol.
#pragma once

#include "markers.h"

namespace jpegfreq {

// Note [Lane automaton]
// A lane decodes a chunk of up to chunk_blocks blocks. Its whole state besides the bit window is one number p:
//   bits 0-12   place in the chunk: block b owns the 256 places from B = 256 (b + 1) on. B: waiting for its DC code;
//               B + 128 + 2 k: coefficient k - 1 was the last one.
//   bits 13 up  0, or the number of a sub-state (below).
// program[p >> 7] names the table for that state. A step looks its bits up and does, for every kind of entry alike:
//   window <<= bits;  p = (p | mask) + advance;  store16(scratch + place of p - 2, value)
//   DC            advance 130                       value = difference
//   AC            advance 2 (run + 1)               value;  coefficient 63 rolls over into the next block by itself
//   ZRL           advance 32                        value 0, into an empty slot
//   EOB           mask 126, advance 2: the beginning of the next block; value 0 into coefficient 63, empty then
//   long value    advance as above + sub-state of its size. The code's last bits stay, as many as fit before the value into
//                 one look-up: so the next step, which reads both, touches few lines of its table. It leaves the sub-state.
//   long code     sub-state of the next level; and 128 places back, where no block is, until the code is complete
//   no such code  advance 256, out of any sub-state: a block without a DC, found out when the chunk is full
// Slot 0 of every block holds no_dc before: where a run passed coefficient 63 the next DC falls into another slot, and the
// mark stays. Behind the last block of a chunk only steps of advance 128 and no bits follow, until all lanes are looked at;
// a run past coefficient 63 of the last block shows in the place, which then is no multiple of 128.
// Every entry of a sub-state leaves it or moves to a higher one, so no stream keeps a lane from its chunk's end.
// So a block's coefficients come to lie in zigzag order. Where the machine cannot turn a whole block into natural order with a few
// instructions, each step takes the offset from slot_of[place of p / 2] instead.
// With one image per lane their tables are what fills the first-level cache; 7 and 9 bits were no faster, 10 slower.
constexpr int lane_bits = 8;
constexpr int chunk_blocks = 24;
constexpr int place_bits = 13;
constexpr int16_t no_dc = INT16_MIN;
// A chunk of fewer blocks begins later, so that all end here.
constexpr uint32_t end_place = 256 * (chunk_blocks + 1);
constexpr uint32_t begin_place(int blocks) { return end_place - 256 * uint32_t(blocks); }
// Index of the DC coefficient of block b in the scratch.
constexpr int first_value(int block) { return 128 * (block + 1) + 64; }

struct LaneEntry {
    uint8_t bits;  // the shift takes its low 6 bits only
    uint8_t mask;
    int16_t value;
    int32_t advance;
};
static_assert(sizeof(LaneEntry) == 8, "read as one word");

constexpr int lane_entries = 1 << lane_bits;

// Sub-states: values of 1 to lane_bits bits; the leading bits of longer ones; their rest; levels 2 to 4 of long codes.
constexpr int longest_value = 11;  // bits, in 8-bit files (T.81 F.1.2.1.1)
constexpr int first_rest_state = longest_value + 1;
constexpr int first_level_state = first_rest_state + (2 << (longest_value - lane_bits)) - 2;
constexpr int code_levels = 4;
constexpr int sub_states = first_level_state + code_levels - 1;
// A step after the last block is one of at most 56 / lane_bits before the lanes are looked at; the first may come from a
// block without a code.
static_assert(256 * (chunk_blocks + 3) + 128 * (56 / lane_bits) < 1 << place_bits,
              "places do not run into the sub-states");

struct LaneTable {
    HuffmanSpec spec;
    bool is_dc;
    bool fits;   // false: a table of a shape that no real encoder makes; the plain decoder reads such files
    int levels;  // used levels
};

// Fills `entries`, code_levels tables of lane_entries, and `table`.
void build_lane_table(const HuffmanSpec& spec, bool is_dc, LaneTable& table, LaneEntry* entries);

// The tables that no image changes: values by sub-state (from 1 on), no code at all, steps after the end of the chunk.
constexpr int no_code_table = 0;
constexpr int end_table = first_level_state;
constexpr int constant_tables = first_level_state + 1;
void build_constant_tables(LaneEntry* entries);
// p's place / 2 -> byte offset in the chunk's scratch, where blocks are in natural order.
void build_slots(uint16_t* slot_of);

}  // namespace jpegfreq
