// The lanes' loop and second pass (lanes.h), once, over the operations of `Ops`. Included by one .cpp per instruction set;
// everything is in an anonymous namespace, so that the linker never mixes them.
//
//   Ops::step<lane>(memory, window, p)   a step of Note [Lane automaton]
//   Ops::trailing_zeros(window)          of a number that is not 0
//   Ops::empty(block)                    makes a block of the scratch what it was before it was decoded
//   Ops::take<stream>(block, to, dc)     moves a block out of the scratch, with this DC coefficient, and empties it; with
//                                        `stream` past the caches, where the machine can: `to` is aligned then
//   Ops::keep<sparse>(block, dc, kept)   the same to KeptBlocks, which moves on; `sparse` where the second half is mostly empty
//   Ops::give<sparse>(kept, to, dc)      moves a block of KeptBlocks, with `dc` added to its first coefficient
#pragma once

#include <cstddef>
#include <cstring>

#include "lanes.h"

namespace jpegfreq {
namespace {

#define ALWAYS_INLINE inline __attribute__((always_inline))

// A refill leaves at least 56 bits.
constexpr int steps_a_refill = 56 / lane_bits;

// A step in C++: machines with 31 registers keep four lanes in them, and the sanitizers see into no assembly.
template <int lane, bool zigzag>
ALWAYS_INLINE void plain_step(LaneMemory* memory, uint64_t& window, uint64_t& p) {
    const LaneEntry entry = memory->program[lane][p >> 7][window >> (64 - lane_bits)];
    p = uint32_t((p | entry.mask) + uint32_t(entry.advance));
    window <<= entry.bits & 63;
    const uint64_t place = p & ((1 << place_bits) - 2);
    memory->scratch[lane][(zigzag ? place - 2 : memory->slot_of[place / 2]) / 2] = entry.value;
}

// The refill of Note [Bit window]; the position stays in memory.
template <class Ops>
ALWAYS_INLINE void refill(Lane& lane, uint64_t& window) {
    const uint64_t position = lane.position += Ops::trailing_zeros(window);
    uint64_t word;
    __builtin_memcpy(&word, reinterpret_cast<const char*>(position >> 3), 8);
    window = __builtin_bswap64(word) << (position & 7) | 1;
}

// After the end of the chunk and in no sub-state.
ALWAYS_INLINE bool at_end(uint64_t p) { return uint32_t(p) - end_place < (1u << place_bits) - end_place; }

template <class Ops, int lane>
struct Registers {
    Registers<Ops, lane - 1> rest;
    uint64_t window, p;
    ALWAYS_INLINE void load(LaneMemory* memory) {
        rest.load(memory);
        window = memory->lanes[lane].window;
        p = memory->lanes[lane].p;
    }
    ALWAYS_INLINE void store(LaneMemory* memory) {
        rest.store(memory);
        memory->lanes[lane].window = window;
        memory->lanes[lane].p = uint32_t(p);
    }
    ALWAYS_INLINE void step_all(LaneMemory* memory) {
        rest.step_all(memory);
        Ops::template step<lane>(memory, window, p);
    }
    ALWAYS_INLINE void refill_all(LaneMemory* memory) {
        rest.refill_all(memory);
        refill<Ops>(memory->lanes[lane], window);
    }
    ALWAYS_INLINE unsigned finished() const { return rest.finished() | unsigned(at_end(p)) << lane; }
    ALWAYS_INLINE bool any_finished() const { return rest.any_finished() || at_end(p); }
};

template <class Ops>
struct Registers<Ops, -1> {
    void load(LaneMemory*) {}
    void store(LaneMemory*) {}
    void step_all(LaneMemory*) {}
    void refill_all(LaneMemory*) {}
    unsigned finished() const { return 0; }
    bool any_finished() const { return false; }
};

template <class Ops, int count>
unsigned step_lanes(LaneMemory* memory) {
    Registers<Ops, count - 1> lanes;
    lanes.load(memory);
    do {
#pragma GCC unroll 8
        for (int i = 0; i < steps_a_refill; i++) lanes.step_all(memory);
        lanes.refill_all(memory);
    } while (!lanes.any_finished());
    lanes.store(memory);
    return lanes.finished();
}

template <class Ops>
unsigned step(LaneMemory& memory, int count) {
    switch (count) {
        case 6: return step_lanes<Ops, 6>(&memory);
        case 5: return step_lanes<Ops, 5>(&memory);
        case 4: return step_lanes<Ops, 4>(&memory);
        case 3: return step_lanes<Ops, 3>(&memory);
        case 2: return step_lanes<Ops, 2>(&memory);
        default: return step_lanes<Ops, 1>(&memory);
    }
}

// The operations from `empty` on where the scratch is in natural order, in vectors of any size: Ops::Vector, Ops::with_first(vector,
// value) for the vector with this first coefficient, and Ops::store<stream>(to, vector).
template <class Ops>
struct InOrderOps {
    static ALWAYS_INLINE void empty(int16_t* block) {
        typedef typename Ops::Vector Vector;
        Vector* const to = reinterpret_cast<Vector*>(block);
        to[0] = Ops::with_first(Vector{}, no_dc);
        for (size_t v = 1; v < 128 / sizeof(Vector); v++) to[v] = Vector{};
    }

    template <bool stream>
    static ALWAYS_INLINE void take(int16_t* block, int16_t* target, int16_t dc) {
        typedef typename Ops::Vector Vector;
        Vector* const from = reinterpret_cast<Vector*>(block);
        Vector* const to = reinterpret_cast<Vector*>(target);
        Ops::template store<stream>(to, Ops::with_first(from[0], dc));
        for (size_t v = 1; v < 128 / sizeof(Vector); v++) Ops::template store<stream>(to + v, from[v]);
        empty(block);
    }

    template <bool sparse>
    static ALWAYS_INLINE void keep(int16_t* block, int16_t dc, KeptBlocks& kept) {
        take<false>(block, kept.values, dc);
        kept.values += 64;
    }

    template <bool sparse>
    static ALWAYS_INLINE void give(KeptBlocks& kept, int16_t* target, uint32_t dc) {
        __builtin_memcpy(target, kept.values, 128);
        target[0] = int16_t(uint32_t(int32_t(target[0])) + dc);
        kept.values += 64;
    }
};

// Adds the difference of each block of a full chunk to its component's prediction, and calls each(number, block, prediction).
// False: a block has no DC.
template <class Each>
ALWAYS_INLINE bool for_each_block(int16_t* scratch, int count, const uint8_t* components, uint32_t* dc, Each each) {
    bool complete = true;
    int16_t* block = scratch + first_value(chunk_blocks - count);
    for (int i = 0; i < count; i++, block += 128) {
        const int16_t difference = block[0];
        complete &= difference != no_dc;
        const uint32_t value = dc[components[i]] += uint32_t(int32_t(difference));
        each(i, block, int16_t(value));
    }
    return complete;
}

template <class Ops, bool stream>
bool take_blocks(int16_t* scratch, int count, int16_t* const* targets, const uint8_t* components, uint32_t* dc) {
    return for_each_block(scratch, count, components, dc, [&](int i, int16_t* block, int16_t value) {
        Ops::template take<stream>(block, targets[i], value);
    });
}

template <class Ops>
bool skip_blocks(int16_t* scratch, int count, const uint8_t* components, uint32_t* dc) {
    return for_each_block(scratch, count, components, dc, [](int, int16_t* block, int16_t) { Ops::empty(block); });
}

template <class Ops, bool sparse>
bool keep_blocks(int16_t* scratch, int count, KeptBlocks& kept, const uint8_t* components, uint32_t* dc) {
    KeptBlocks to = kept;
    const bool complete = for_each_block(scratch, count, components, dc, [&](int, int16_t* block, int16_t value) {
        Ops::template keep<sparse>(block, value, to);
    });
    kept = to;
    return complete;
}

template <class Ops, bool sparse>
void give_blocks(KeptBlocks& kept, int count, int16_t* const* targets, const uint8_t* components, const uint32_t* dc) {
    KeptBlocks from = kept;
    for (int i = 0; i < count; i++) Ops::template give<sparse>(from, targets[i], dc[components[i]]);
    kept = from;
}

#undef ALWAYS_INLINE

}  // namespace
}  // namespace jpegfreq
