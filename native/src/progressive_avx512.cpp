// The AC kernels with BMI2 and AVX-512.
#include "natural_order_avx512.h"
#include "progressive_bmi2.h"

namespace jpegfreq {
namespace {

struct Avx512Vectors {
    static void update_32(int16_t* block, uint32_t touched, uint32_t negative, __m512i steps) {
        const __m512i old = _mm512_loadu_si512(block);
        negative |= _mm512_movepi16_mask(old);
        const __m512i raised = _mm512_mask_add_epi16(old, touched & ~negative, old, steps);
        _mm512_storeu_si512(block, _mm512_mask_sub_epi16(raised, touched & negative, old, steps));
    }

    static void update(int16_t* block, uint64_t touched, uint64_t negative, int16_t step) {
        const __m512i steps = _mm512_set1_epi16(step);
        update_32(block, uint32_t(touched), uint32_t(negative), steps);
        update_32(block + 32, uint32_t(touched >> 32), uint32_t(negative >> 32), steps);
    }
};

// Empty blocks too: to tell them apart costs more.
void emit(int16_t* blocks, uint64_t* maps, const int16_t* dc, int16_t* plane, uint32_t count) {
    for (uint32_t b = 0; b < count; b++, blocks += 64, plane += 64) {
        const __m512i low = _mm512_loadu_si512(blocks), high = _mm512_loadu_si512(blocks + 32);
        _mm512_storeu_si512(plane, _mm512_mask_set1_epi16(first_half(low, high), 1, dc[b]));
        _mm512_storeu_si512(plane + 32, second_half(low, high));
        _mm512_storeu_si512(blocks, _mm512_setzero_si512());
        _mm512_storeu_si512(blocks + 32, _mm512_setzero_si512());
    }
    std::memset(maps, 0, count * sizeof *maps);
}

}  // namespace

const AcKernels ac_kernels_avx512 = {decode_first<Bmi2AcOps<Avx512Vectors>>,
                                     decode_refinement<Bmi2AcOps<Avx512Vectors>>, emit};

}  // namespace jpegfreq
