// A step of the lanes for machines with BMI2.
#pragma once

#include <immintrin.h>

#include "lane_kernels.h"

namespace jpegfreq {
namespace {

// In assembly because compilers spill the lanes' windows and places, which puts a store and a load into each lane's chain
// of dependences: 3 to 4 % of the time on Zen 5.
template <int lane, bool zigzag>
inline __attribute__((always_inline)) void bmi2_step(LaneMemory* memory, uint64_t& window, uint64_t& p) {
#if defined(JPEGFREQ_PLAIN_LANE_STEP)
    plain_step<lane, zigzag>(memory, window, p);
#else
    constexpr uint64_t code_shift = 64 - lane_bits;
    uint64_t table, entry;
    __asm__(
        "mov %k[p], %k[table]\n\t"
        "mov %[window], %[entry]\n\t"
        "shr $7, %k[table]\n\t"
        "shr %[code_shift], %[entry]\n\t"
        "mov %c[program](%[memory],%[table],8), %[table]\n\t"
        "orb 1(%[table],%[entry],8), %b[p]\n\t"
        "add 4(%[table],%[entry],8), %k[p]\n\t"
        "mov (%[table],%[entry],8), %[entry]\n\t"
        "shlx %[entry], %[window], %[window]\n\t"
        "mov %k[p], %k[table]\n\t"
        "shr $16, %[entry]\n\t"
        "and %[mask], %k[table]\n\t"
        ".if %c[zigzag]\n\t"
        "movw %w[entry], %c[scratch]-2(%[memory],%[table])\n\t"
        ".else\n\t"
        "movzwl %c[slot_of](%[memory],%[table]), %k[table]\n\t"
        "movw %w[entry], %c[scratch](%[memory],%[table])\n\t"
        ".endif"
        : [window] "+r"(window), [p] "+r"(p), [table] "=&r"(table), [entry] "=&r"(entry)
        : [memory] "r"(memory), [code_shift] "i"(code_shift), [mask] "i"((1 << place_bits) - 2),
          [zigzag] "i"(int(zigzag)), [program] "i"(offsetof(LaneMemory, program) + lane * sizeof memory->program[0]),
          [slot_of] "i"(offsetof(LaneMemory, slot_of)),
          [scratch] "i"(offsetof(LaneMemory, scratch) + lane * sizeof memory->scratch[0])
        : "cc", "memory");
#endif
}

// The operations of lane_kernels.h that need no vectors.
template <bool zigzag>
struct Bmi2Ops {
    static uint64_t trailing_zeros(uint64_t bits) { return _tzcnt_u64(bits); }

    template <int lane>
    static inline __attribute__((always_inline)) void step(LaneMemory* memory, uint64_t& window, uint64_t& p) {
        bmi2_step<lane, zigzag>(memory, window, p);
    }
};

void finish_streaming() { _mm_sfence(); }

}  // namespace
}  // namespace jpegfreq
