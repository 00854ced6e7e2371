// The lanes with BMI2 and AVX-512, where two instructions put a block from zigzag into natural order: so the steps need not, and
// there is room for a fifth lane.
#include "lane_step_bmi2.h"
#include "natural_order_avx512.h"

namespace jpegfreq {
namespace {

struct WideOps : Bmi2Ops<true> {
    template <bool stream>
    static void store(int16_t* to, __m512i vector) {
        if (stream) {
            // Targets are aligned to half of the vector.
            _mm256_stream_si256(reinterpret_cast<__m256i*>(to), _mm512_castsi512_si256(vector));
            _mm256_stream_si256(reinterpret_cast<__m256i*>(to + 16), _mm512_extracti64x4_epi64(vector, 1));
        } else {
            _mm512_storeu_si512(to, vector);
        }
    }

    static void empty(int16_t* block) {
        _mm512_store_si512(block, _mm512_maskz_set1_epi16(1, no_dc));
        _mm512_store_si512(block + 32, _mm512_setzero_si512());
    }

    template <bool stream>
    static void take(int16_t* block, int16_t* target, int16_t dc) {
        const __m512i low = _mm512_load_si512(block), high = _mm512_load_si512(block + 32);
        store<stream>(target, _mm512_mask_set1_epi16(first_half(low, high), 1, dc));
        store<stream>(target + 32, second_half(low, high));
        empty(block);
    }
};

}  // namespace

const LaneKernels lane_kernels_avx512 = {
    6, step<WideOps>, take_blocks<WideOps, false>, take_blocks<WideOps, true>, skip_blocks<WideOps>, finish_streaming};

}  // namespace jpegfreq
