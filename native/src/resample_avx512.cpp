// The resample over vectors of 16 floats, for AVX-512. Compiled with flags of its own and entered by run-time dispatch only.
#include "resample_f8_avx2.h"
#include "resample_two.h"

namespace jpegfreq {
namespace {

struct F16 {
    static constexpr uint32_t groups = 2;
    __m512 lanes;

    static F16 load(const float* from) { return {_mm512_loadu_ps(from)}; }
    static F16 load_groups(const float* const (&from)[2]) {
        const __m512 low = _mm512_castps256_ps512(_mm256_loadu_ps(from[0]));
        return {_mm512_insertf32x8(low, _mm256_loadu_ps(from[1]), 1)};
    }
    static F16 load_int16(const int16_t* const (&from)[2]) {
        const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[0]));
        const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[1]));
        return {_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_set_m128i(high, low)))};
    }
    static F16 repeat(const float* from) { return {_mm512_broadcast_f32x8(_mm256_loadu_ps(from))}; }
    static F16 broadcast(float value) { return {_mm512_set1_ps(value)}; }
};
using Wide = F16;
using Several = Two<Wide>;

inline F8 group(F16 x, uint32_t number) {
    return {number == 0 ? _mm512_castps512_ps256(x.lanes) : _mm512_extractf32x8_ps(x.lanes, 1)};
}

inline __mmask16 first_lanes(uint32_t count) { return __mmask16((1u << count) - 1); }

inline void store(float* to, F16 x) { _mm512_storeu_ps(to, x.lanes); }
inline void stream(float* to, F16 x) { _mm512_stream_ps(to, x.lanes); }  // `to` is aligned to 64 bytes
inline void store_partial(float* to, F16 x, uint32_t count) { _mm512_mask_storeu_ps(to, first_lanes(count), x.lanes); }

template <int Width>
inline void scatter(float* to, size_t stride, F16 x) {
    scatter<Width>(to, stride, group(x, 0));
    scatter<Width>(to + 8 / Width * stride, stride, group(x, 1));
}

template <int Width>
inline void scatter_partial(float* to, size_t stride, F16 x, uint32_t count) {
    for (uint32_t i = 0; i < 16 / Width; ++i, to += stride) {
        const __m512 shifted = _mm512_maskz_compress_ps(__mmask16(((1u << count) - 1) << Width * i), x.lanes);
        _mm512_mask_storeu_ps(to, first_lanes(count), shifted);
    }
}

// scatter<8> of two vectors to neighbouring places.
inline void scatter_two(float* to, size_t stride, F16 first, F16 second) {
    _mm512_storeu_ps(to, _mm512_shuffle_f32x4(first.lanes, second.lanes, 0x44));
    _mm512_storeu_ps(to + stride, _mm512_shuffle_f32x4(first.lanes, second.lanes, 0xee));
}

inline F16 operator+(F16 a, F16 b) { return {_mm512_add_ps(a.lanes, b.lanes)}; }
inline F16 operator-(F16 a, F16 b) { return {_mm512_sub_ps(a.lanes, b.lanes)}; }
inline F16 operator*(F16 a, F16 b) { return {_mm512_mul_ps(a.lanes, b.lanes)}; }
inline F16 multiply_add(F16 a, F16 b, F16 c) { return {_mm512_fmadd_ps(a.lanes, b.lanes, c.lanes)}; }
inline F16 multiply_subtract(F16 a, F16 b, F16 c) { return {_mm512_fmsub_ps(a.lanes, b.lanes, c.lanes)}; }
inline F16 negative_multiply_add(F16 a, F16 b, F16 c) { return {_mm512_fnmadd_ps(a.lanes, b.lanes, c.lanes)}; }

// The groups of 8 lanes each for itself. The last step needs lanes of two of four quarters, with one index for all.
[[gnu::always_inline]] inline void transpose(F16 (&x)[8]) {
    __m512 pair[8], quad[8];
    for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm512_unpacklo_ps(x[i].lanes, x[i + 1].lanes);
        pair[i + 1] = _mm512_unpackhi_ps(x[i].lanes, x[i + 1].lanes);
    }
    for (int i = 0; i < 8; i += 4) {
        quad[i] = _mm512_shuffle_ps(pair[i], pair[i + 2], 0x44);
        quad[i + 1] = _mm512_shuffle_ps(pair[i], pair[i + 2], 0xee);
        quad[i + 2] = _mm512_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
        quad[i + 3] = _mm512_shuffle_ps(pair[i + 1], pair[i + 3], 0xee);
    }
    const __m512i low = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
    const __m512i high = _mm512_setr_epi32(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
    for (int i = 0; i < 4; ++i) {
        x[i].lanes = _mm512_permutex2var_ps(quad[i], low, quad[i + 4]);
        x[i + 4].lanes = _mm512_permutex2var_ps(quad[i], high, quad[i + 4]);
    }
}

// The two rows of a pair stand one above the other in two blocks: (a0 b0), (a1 b1) becomes (a0 a1), (b0 b1).
[[gnu::always_inline]] inline void join_rows(F16 (&x)[8]) {
    __m512 joined[8];
    for (int i = 0; i < 4; ++i) {
        joined[i] = _mm512_shuffle_f32x4(x[2 * i].lanes, x[2 * i + 1].lanes, 0x44);
        joined[i + 4] = _mm512_shuffle_f32x4(x[2 * i].lanes, x[2 * i + 1].lanes, 0xee);
    }
    for (int i = 0; i < 8; ++i) x[i].lanes = joined[i];
}

// As for F8.
inline __m256i to_short(Half, F16 x) {
    const __m512 limit = _mm512_set1_ps(65504.0f);
    const __m512 inside = _mm512_max_ps(_mm512_sub_ps(_mm512_setzero_ps(), limit), _mm512_min_ps(limit, x.lanes));
    return _mm512_cvtps_ph(inside, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline __m256i to_short(Bfloat16, F16 x) {
    const __m512i bits = _mm512_castps_si512(x.lanes);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __mmask16 is_nan = _mm512_cmp_ps_mask(x.lanes, x.lanes, _CMP_UNORD_Q);
    const __m512i sound = _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(sound, 16));
}

template <class T>
inline void store_short(T* to, F16 x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), to_short(T{}, x));
}
template <class T>
inline void stream_short(T* to, F16 x) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to), to_short(T{}, x));
}
template <class T>
inline void store_short_partial(T* to, F16 x, uint32_t count) {
    _mm256_mask_storeu_epi16(to, first_lanes(count), to_short(T{}, x));
}

// to_short(), but of halves, values that do not fit become infinite, until make_finite().
inline __m256i to_unbounded(Half, F16 x) {
    return _mm512_cvtps_ph(x.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline __m256i to_unbounded(Bfloat16, F16 x) { return to_short(Bfloat16{}, x); }

[[gnu::always_inline]] inline void make_finite(Bfloat16, __m512i (&)[4]) {}
// What was rounded to infinity becomes 65504, as for F8.
[[gnu::always_inline]] inline void make_finite(Half, __m512i (&lines)[4]) {
    // Infinities and NaNs are those whose exponent has all bits set.
    const __m512i exponent = _mm512_set1_epi16(0x7c00);
    const __m512i lowest = _mm512_min_epu16(
        _mm512_min_epu16(_mm512_andnot_si512(lines[0], exponent), _mm512_andnot_si512(lines[1], exponent)),
        _mm512_min_epu16(_mm512_andnot_si512(lines[2], exponent), _mm512_andnot_si512(lines[3], exponent)));
    if (__builtin_expect(_mm512_testn_epi16_mask(lowest, lowest) != 0, 0)) {
        for (__m512i& line : lines) {
            const __m512i magnitude = _mm512_and_si512(line, _mm512_set1_epi16(0x7fff));
            line =
                _mm512_mask_sub_epi16(line, _mm512_cmpeq_epi16_mask(magnitude, exponent), line, _mm512_set1_epi16(1));
        }
    }
}

// The 64 values of a block of each group, of whose rows x has one each: two whole cache lines for each block, where they are
// aligned.
template <class T>
[[gnu::always_inline]] inline void store_short_blocks(T* to, size_t stride, const F16 (&x)[8], bool stream) {
    __m512i pairs[4];
    for (int i = 0; i < 4; ++i) {
        const __m256i upper = to_unbounded(T{}, x[2 * i]), lower = to_unbounded(T{}, x[2 * i + 1]);
        pairs[i] = _mm512_inserti64x4(_mm512_castsi256_si512(upper), lower, 1);
    }
    __m512i lines[4] = {_mm512_shuffle_i64x2(pairs[0], pairs[1], 0x88), _mm512_shuffle_i64x2(pairs[2], pairs[3], 0x88),
                        _mm512_shuffle_i64x2(pairs[0], pairs[1], 0xdd), _mm512_shuffle_i64x2(pairs[2], pairs[3], 0xdd)};
    make_finite(T{}, lines);
    for (int i = 0; i < 4; ++i) {
        void* const line = to + i / 2 * stride + i % 2 * 32;
        stream ? _mm512_stream_si512(static_cast<__m512i*>(line), lines[i]) : _mm512_storeu_si512(line, lines[i]);
    }
}

inline void store_int8(int8_t* to, F16 x, uint32_t count) {
    const __m512 limit = _mm512_set1_ps(127.0f);
    const __m512 above = _mm512_max_ps(x.lanes, _mm512_sub_ps(_mm512_setzero_ps(), limit));
    const __m512i whole = _mm512_cvtps_epi32(_mm512_min_ps(above, limit));
    _mm_mask_storeu_epi8(to, first_lanes(count), _mm512_cvtsepi32_epi8(whole));
}

}  // namespace
}  // namespace jpegfreq

#include "reduction_kernels.h"
#include "resample_kernels.h"

namespace jpegfreq {

const ResampleKernels resample_kernels_avx512 = {run_pass, run_staged, reduce, wide_lanes};

}  // namespace jpegfreq
