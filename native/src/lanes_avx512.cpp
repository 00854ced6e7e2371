// The lanes with BMI2 and AVX-512, where two instructions put a block from zigzag into natural order: so the steps need not, and
// there is room for more lanes.
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

    // In zigzag order, without the zeros; but always with the DC coefficient. To skip an empty second half pays if that is almost
    // always right.
    template <bool sparse>
    static void keep(int16_t* block, int16_t dc, KeptBlocks& kept) {
        const __m512i low = _mm512_mask_set1_epi16(_mm512_load_si512(block), 1, dc);
        const __m512i high = _mm512_load_si512(block + 32);
        const uint32_t in_low = _mm512_test_epi16_mask(low, low) | 1, in_high = _mm512_test_epi16_mask(high, high);
        _mm512_storeu_si512(kept.values, _mm512_maskz_compress_epi16(in_low, low));
        *--kept.masks = in_low | uint64_t(in_high) << 32;
        kept.values += _mm_popcnt_u32(in_low);
        _mm512_store_si512(block, _mm512_maskz_set1_epi16(1, no_dc));
        if (sparse && in_high == 0) return;
        _mm512_storeu_si512(kept.values, _mm512_maskz_compress_epi16(in_high, high));
        kept.values += _mm_popcnt_u32(in_high);
        _mm512_store_si512(block + 32, _mm512_setzero_si512());
    }

    // Not by memory operands, for which the instruction takes longer.
    static __m512i expand(uint32_t mask, const int16_t* values) {
        __m512i loaded = _mm512_loadu_si512(values);
        __asm__("" : "+v"(loaded));
        return _mm512_maskz_expand_epi16(mask, loaded);
    }

    template <bool sparse>
    static void give(KeptBlocks& kept, int16_t* target, uint32_t dc) {
        const uint64_t mask = *--kept.masks;
        const uint32_t in_low = uint32_t(mask), in_high = uint32_t(mask >> 32);
        const int16_t first = int16_t(uint32_t(int32_t(kept.values[0])) + dc);
        const __m512i low = expand(in_low, kept.values);
        const bool has_high = !sparse || in_high != 0;
        const __m512i high = has_high ? expand(in_high, kept.values + _mm_popcnt_u32(in_low)) : _mm512_setzero_si512();
        kept.values += _mm_popcnt_u64(mask);
        store<false>(target, _mm512_mask_set1_epi16(first_half(low, high), 1, first));
        store<false>(target + 32, second_half(low, high));
    }
};

}  // namespace

const LaneKernels lane_kernels_avx512 = {6,
                                         step<WideOps>,
                                         take_blocks<WideOps, false>,
                                         take_blocks<WideOps, true>,
                                         skip_blocks<WideOps>,
                                         {keep_blocks<WideOps, false>, give_blocks<WideOps, false>},
                                         {keep_blocks<WideOps, true>, give_blocks<WideOps, true>},
                                         true,
                                         finish_streaming};

}  // namespace jpegfreq
