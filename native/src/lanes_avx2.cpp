#include <immintrin.h>

#include <cstddef>

#include "lanes.h"

namespace jpegfreq {
namespace {

// A refill leaves at least 56 bits.
constexpr int steps_a_refill = 56 / lane_bits;

#if defined(JPEGFREQ_PLAIN_LANE_STEP)

// One step of Note [Lane automaton], for the sanitizers, which see into no assembly.
template <int lane>
inline void step(LaneMemory* memory, uint64_t& window, uint64_t& p) {
    const LaneEntry entry = memory->tables[memory->program[lane][p >> 7] + (window >> (64 - lane_bits))];
    p = uint32_t((p | entry.mask) + uint32_t(entry.advance));
    window <<= entry.bits & 63;
    memory->scratch[lane][memory->slot_of[(p & ((1 << place_bits) - 2)) / 2] / 2] = entry.value;
}

#else

// One step of Note [Lane automaton]. In assembly because compilers spill the lanes' windows and places, which puts a store
// and a load into each lane's chain of dependences.
template <int lane>
inline __attribute__((always_inline)) void step(LaneMemory* memory, uint64_t& window, uint64_t& p) {
    uint64_t table, entry;
    __asm__(
        "mov %k[p], %k[table]\n\t"
        "mov %[window], %[entry]\n\t"
        "shr $7, %k[table]\n\t"
        "shr %[shift], %[entry]\n\t"
        "movzwl %c[program](%[memory],%[table],2), %k[table]\n\t"
        "add %k[entry], %k[table]\n\t"
        "mov %c[tables](%[memory],%[table],8), %[entry]\n\t"
        "orb %c[tables]+1(%[memory],%[table],8), %b[p]\n\t"
        "add %c[tables]+4(%[memory],%[table],8), %k[p]\n\t"
        "shlx %[entry], %[window], %[window]\n\t"
        "mov %k[p], %k[table]\n\t"
        "shr $16, %[entry]\n\t"
        "and %[mask], %k[table]\n\t"
        "movzwl %c[slot_of](%[memory],%[table]), %k[table]\n\t"
        "movw %w[entry], %c[scratch](%[memory],%[table])"
        : [window] "+r"(window), [p] "+r"(p), [table] "=&r"(table), [entry] "=&r"(entry)
        : [memory] "r"(memory), [shift] "i"(64 - lane_bits), [mask] "i"((1 << place_bits) - 2),
          [program] "i"(offsetof(LaneMemory, program) + lane * sizeof memory->program[0]),
          [tables] "i"(offsetof(LaneMemory, tables)), [slot_of] "i"(offsetof(LaneMemory, slot_of)),
          [scratch] "i"(offsetof(LaneMemory, scratch) + lane * sizeof memory->scratch[0])
        : "cc", "memory");
}

#endif

// The refill of Note [Bit window]; the position stays in memory.
inline __attribute__((always_inline)) void refill(Lane& lane, uint64_t& window) {
    const uint64_t position = lane.position += _tzcnt_u64(window);
    uint64_t word;
    __builtin_memcpy(&word, reinterpret_cast<const char*>(position >> 3), 8);
    window = __builtin_bswap64(word) << (position & 7) | 1;
}

// In [end, 2^place_bits): after the end of the chunk and in no sub-state.
inline __attribute__((always_inline)) bool at_end(const Lane& lane, uint64_t p) {
    return uint32_t(p) - lane.end < (1u << place_bits) - lane.end;
}

template <int lane>
struct Registers {
    Registers<lane - 1> rest;
    uint64_t window, p;
    inline __attribute__((always_inline)) void load(LaneMemory* memory) {
        rest.load(memory);
        window = memory->lanes[lane].window;
        p = memory->lanes[lane].p;
    }
    inline __attribute__((always_inline)) void store(LaneMemory* memory) {
        rest.store(memory);
        memory->lanes[lane].window = window;
        memory->lanes[lane].p = uint32_t(p);
    }
    inline __attribute__((always_inline)) void step_all(LaneMemory* memory) {
        rest.step_all(memory);
        step<lane>(memory, window, p);
    }
    inline __attribute__((always_inline)) void refill_all(LaneMemory* memory) {
        rest.refill_all(memory);
        refill(memory->lanes[lane], window);
    }
    inline __attribute__((always_inline)) unsigned finished(const LaneMemory* memory) const {
        return rest.finished(memory) | unsigned(at_end(memory->lanes[lane], p)) << lane;
    }
    inline __attribute__((always_inline)) bool any_finished(const LaneMemory* memory) const {
        return rest.any_finished(memory) || at_end(memory->lanes[lane], p);
    }
};

template <>
struct Registers<-1> {
    void load(LaneMemory*) {}
    void store(LaneMemory*) {}
    void step_all(LaneMemory*) {}
    void refill_all(LaneMemory*) {}
    unsigned finished(const LaneMemory*) const { return 0; }
    bool any_finished(const LaneMemory*) const { return false; }
};

template <int count>
unsigned step_lanes(LaneMemory* memory) {
    Registers<count - 1> lanes;
    lanes.load(memory);
    do {
#pragma GCC unroll 8
        for (int i = 0; i < steps_a_refill; i++) lanes.step_all(memory);
        lanes.refill_all(memory);
    } while (!lanes.any_finished(memory));
    lanes.store(memory);
    return lanes.finished(memory);
}

template <bool stream>
inline __attribute__((always_inline)) void store(__m256i* to, __m256i value) {
    if (stream) {
        _mm256_stream_si256(to, value);
    } else {
        _mm256_storeu_si256(to, value);
    }
}

template <bool stream>
bool take_blocks(int16_t* scratch, int count, int16_t* const* targets, const uint8_t* components, uint32_t* dc) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i empty = _mm256_insert_epi16(zero, no_dc, 0);
    bool complete = true;
    for (int i = 0; i < count; i++) {
        __m256i* from = reinterpret_cast<__m256i*>(scratch + 64 * i);
        __m256i* to = reinterpret_cast<__m256i*>(targets[i]);
        const int16_t difference = scratch[64 * i];
        complete &= difference != no_dc;
        const uint32_t value = dc[components[i]] += uint32_t(int32_t(difference));
        store<stream>(to + 0, _mm256_insert_epi16(from[0], int16_t(value), 0));
        store<stream>(to + 1, from[1]);
        store<stream>(to + 2, from[2]);
        store<stream>(to + 3, from[3]);
        from[0] = empty;
        from[1] = zero;
        from[2] = zero;
        from[3] = zero;
    }
    return complete;
}

unsigned step(LaneMemory& memory, int count) {
    switch (count) {
        case 4: return step_lanes<4>(&memory);
        case 3: return step_lanes<3>(&memory);
        case 2: return step_lanes<2>(&memory);
        default: return step_lanes<1>(&memory);
    }
}

void finish_streaming() { _mm_sfence(); }

}  // namespace

const LaneKernels lane_kernels_avx2 = {step, take_blocks<false>, take_blocks<true>, finish_streaming};

}  // namespace jpegfreq
