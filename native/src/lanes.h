// Lanes: several Huffman streams of sequential scans, decoded side by side on one core. One automaton per stream, stepped
// in turn (Note [Lane automaton]).
#pragma once

#include "lane_tables.h"

namespace jpegfreq {

constexpr int max_lanes = 6;

struct Lane {
    uint64_t window = 0;    // Note [Bit window] of sequential_kernel.h
    uint64_t position = 0;  // bit address in memory: 8 * address + bit
    uint32_t p = 0;
};

constexpr int table_slots = 2 * max_components * max_lanes;  // as many as the lanes' images can hold at a time
// A slot's tables, and half a table more: if all slots began at the same place of a page, the tables in use would meet in half of
// the sets of the first-level cache.
constexpr int slot_entries = code_levels * lane_entries + lane_entries / 2;
constexpr int lane_states = 1 << (place_bits - 7);

// The lanes' shared working memory, small enough that what is in use stays in the first-level cache or close by.
struct LaneMemory {
    // By place. Of each block's 256 bytes only the second half is in use: the 128 bytes more move that half of every other lane to
    // other sets of the cache.
    alignas(64) int16_t scratch[max_lanes][(1 << place_bits) / 2 + 64];
    alignas(64) uint16_t slot_of[(1 << place_bits) / 2];
    alignas(64) const LaneEntry* program[max_lanes][sub_states * lane_states];
    alignas(64) Lane lanes[max_lanes];
    alignas(64) LaneEntry tables[constant_tables * lane_entries + table_slots * slot_entries];
};

// Moves decoded blocks out of a lane's scratch and leaves it empty: adds each difference to its component's prediction in
// `dc` and writes the block to its target. False: a block has no DC (a run passed coefficient 63, or no code matched).
using TakeBlocks = bool (*)(int16_t* scratch, int count, int16_t* const* targets, const uint8_t* components,
                            uint32_t* dc);

// The same for blocks that nobody needs: only the predictions move on.
using SkipBlocks = bool (*)(int16_t* scratch, int count, const uint8_t* components, uint32_t* dc);

// Blocks that wait for their place in the image: as many as a part of it holds (Note [Split]).
struct KeptBlocks {
    int16_t* values;  // after the last block's, ascending
    uint64_t* masks;  // after the last block's, descending: which of its coefficients are kept, where not all are
};
constexpr int most_kept_bytes = 128 + 8;  // of a block
constexpr int kept_padding = 128;  // bytes between values and masks that keep_blocks may write and give_blocks read

// take_blocks() to a place of their own.
using KeepBlocks = bool (*)(int16_t* scratch, int count, KeptBlocks& kept, const uint8_t* components, uint32_t* dc);

// Writes kept blocks to their targets, with `dc` of their component added to the DC coefficient, and moves on.
using GiveBlocks = void (*)(KeptBlocks& kept, int count, int16_t* const* targets, const uint8_t* components,
                            const uint32_t* dc);

struct KeepKernels {
    KeepBlocks keep_blocks;
    GiveBlocks give_blocks;
};

struct LaneKernels {
    // As many as pay, at most max_lanes. Each step waits for the one before it in its lane, so more lanes hide more of that
    // wait until there are no registers left. On Zen 5 a batch in six takes 3 to 5 % less time than in five; earlier machines
    // gained nothing from a fifth.
    int lanes;
    // Steps lanes [0, count) until at least one has reached its end; returns a bit for each that has. `count` is 1 to
    // max_lanes.
    unsigned (*step)(LaneMemory& memory, int count);
    TakeBlocks take_blocks;
    // The same with non-temporal stores. Targets are aligned to 32 bytes.
    TakeBlocks stream_blocks;
    SkipBlocks skip_blocks;
    // Of any blocks, and of those whose second half, in zigzag order, is mostly empty.
    KeepKernels any_blocks, sparse_blocks;
    bool packs;  // keep_blocks() leaves zeros out: blocks of n bits take some 8 + n / 2 bytes; else 128
    // Makes what stream_blocks stored visible to other cores.
    void (*finish_streaming)();
};

extern const LaneKernels lane_kernels_generic;
extern const LaneKernels lane_kernels_avx2;
extern const LaneKernels lane_kernels_avx512;

struct Lanes;

// Takes jobs from the queue as long as there are any and memory allows. What the lanes do not read or find damaged goes to
// `plain`, which finds out why. lanes.cpp
void decode_jobs_in_lanes(Lanes& lanes, JobQueue& queue, const Limits& limits, Decoder& plain);
// Gives back what large images needed.
void trim_lanes(Lanes& lanes, size_t most_bytes);
// batch.cpp
void decode_alone(Job& job, const Limits& limits, Decoder& decoder, JobQueue& queue);
void decode_jobs_alone(JobQueue& queue, const Limits& limits, Decoder& decoder);

// One image alone, in as many lanes as it can feed. False: not for the lanes, or damaged; nothing is known of the planes.
// split.cpp
Lanes* new_lanes();  // nullptr: out of memory, or no lanes are wanted (dispatch.h)
void delete_lanes(Lanes*);
bool decode_in_lanes(Lanes& lanes, Bytes jpeg, const Header& header, const Limits& limits, Output& output,
                     RowSink* sink);

}  // namespace jpegfreq
