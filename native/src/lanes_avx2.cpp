// The lanes with BMI2 and AVX2.
#include <immintrin.h>

#include "lane_kernels.h"

namespace jpegfreq {
namespace {

struct VectorOps {
    typedef __m256i Vector;

    static Vector with_first(Vector vector, int16_t value) { return _mm256_insert_epi16(vector, value, 0); }

    template <bool stream>
    static void store(Vector* to, Vector vector) {
        if (stream) {
            _mm256_stream_si256(to, vector);
        } else {
            _mm256_storeu_si256(to, vector);
        }
    }

    static uint64_t trailing_zeros(uint64_t bits) { return _tzcnt_u64(bits); }

    // In assembly because compilers spill the lanes' windows and places, which puts a store and a load into each lane's chain
    // of dependences: 3 to 4 % of the time on Zen 5.
    template <int lane>
    static inline __attribute__((always_inline)) void step(LaneMemory* memory, uint64_t& window, uint64_t& p) {
#if defined(JPEGFREQ_PLAIN_LANE_STEP)
        plain_step<lane>(memory, window, p);
#else
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
#endif
    }
};

void finish_streaming() { _mm_sfence(); }

}  // namespace

const LaneKernels lane_kernels_avx2 = {4, step<VectorOps>, take_blocks<VectorOps, false>, take_blocks<VectorOps, true>,
                                       finish_streaming};
// The same for the machines that have AVX-512, which are wide enough for a fifth lane.
const LaneKernels lane_kernels_avx512 = {5, step<VectorOps>, take_blocks<VectorOps, false>,
                                         take_blocks<VectorOps, true>, finish_streaming};

}  // namespace jpegfreq
