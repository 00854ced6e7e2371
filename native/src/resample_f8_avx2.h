// The vector F8 of resample_kernels.h in AVX2, FMA and F16C. Included by files that are compiled for these, or for more.
#pragma once

#include <immintrin.h>

#include "resample_pass.h"

namespace jpegfreq {
namespace {

struct F8 {
    static constexpr uint32_t groups = 1;
    __m256 lanes;

    static F8 load(const float* from) { return {_mm256_loadu_ps(from)}; }
    static F8 load_groups(const float* const (&from)[1]) { return load(from[0]); }
    static F8 load_int16(const int16_t* const (&from)[1]) {
        const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[0]));
        return {_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(values))};
    }
    static F8 repeat(const float* from) { return load(from); }
    static F8 broadcast(float value) { return {_mm256_set1_ps(value)}; }
};

inline void store(float* to, F8 x) { _mm256_storeu_ps(to, x.lanes); }
inline void stream(float* to, F8 x) { _mm256_stream_ps(to, x.lanes); }  // `to` is aligned to 32 bytes
inline void finish_stream() { _mm_sfence(); }

inline void store_partial(float* to, F8 x, uint32_t count) {
    if (count == 8) return store(to, x);
    __m128 part = _mm256_castps256_ps128(x.lanes);
    if (count & 4) {
        _mm_storeu_ps(to, part);
        part = _mm256_extractf128_ps(x.lanes, 1);
        to += 4;
    }
    if (count & 2) {
        _mm_storel_pi(reinterpret_cast<__m64*>(to), part);
        part = _mm_movehl_ps(part, part);
        to += 2;
    }
    if (count & 1) _mm_store_ss(to, part);
}

template <int Width>
inline void scatter(float* to, size_t stride, F8 x) {
    const __m128 low = _mm256_castps256_ps128(x.lanes), high = _mm256_extractf128_ps(x.lanes, 1);
    if (Width == 8) {
        store(to, x);
    } else if (Width == 4) {
        _mm_storeu_ps(to, low);
        _mm_storeu_ps(to + stride, high);
    } else {
        _mm_storel_pi(reinterpret_cast<__m64*>(to), low);
        _mm_storeh_pi(reinterpret_cast<__m64*>(to + stride), low);
        _mm_storel_pi(reinterpret_cast<__m64*>(to + 2 * stride), high);
        _mm_storeh_pi(reinterpret_cast<__m64*>(to + 3 * stride), high);
    }
}

// scatter<Width> of the first `count` elements of every `Width`.
template <int Width>
inline void scatter_partial(float* to, size_t stride, F8 x, uint32_t count) {
    if (Width == 8) return store_partial(to, x, count);
    constexpr int pieces = 8 / Width;
    for (int i = 0; i < pieces; ++i, to += stride) {
        const __m128 half = 2 * i < pieces ? _mm256_castps256_ps128(x.lanes) : _mm256_extractf128_ps(x.lanes, 1);
        __m128 piece = Width == 2 && i % 2 ? _mm_movehl_ps(half, half) : half;
        if (count & 2) {
            _mm_storel_pi(reinterpret_cast<__m64*>(to), piece);
            piece = _mm_movehl_ps(piece, piece);
        }
        if (count & 1) _mm_store_ss(to + (count & 2), piece);
    }
}

inline F8 operator+(F8 a, F8 b) { return {_mm256_add_ps(a.lanes, b.lanes)}; }
inline F8 operator-(F8 a, F8 b) { return {_mm256_sub_ps(a.lanes, b.lanes)}; }
inline F8 operator*(F8 a, F8 b) { return {_mm256_mul_ps(a.lanes, b.lanes)}; }
inline F8 multiply_add(F8 a, F8 b, F8 c) { return {_mm256_fmadd_ps(a.lanes, b.lanes, c.lanes)}; }
inline F8 multiply_subtract(F8 a, F8 b, F8 c) { return {_mm256_fmsub_ps(a.lanes, b.lanes, c.lanes)}; }
inline F8 negative_multiply_add(F8 a, F8 b, F8 c) { return {_mm256_fnmadd_ps(a.lanes, b.lanes, c.lanes)}; }

[[gnu::always_inline]] inline void transpose(F8 (&x)[8]) {
    __m256 pair[8], quad[8];
    for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_ps(x[i].lanes, x[i + 1].lanes);
        pair[i + 1] = _mm256_unpackhi_ps(x[i].lanes, x[i + 1].lanes);
    }
    for (int i = 0; i < 8; i += 4) {
        quad[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
        quad[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xee);
        quad[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
        quad[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xee);
    }
    for (int i = 0; i < 4; ++i) {
        x[i].lanes = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x20);
        x[i + 4].lanes = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x31);
    }
}

inline F8 group(F8 x, uint32_t) { return x; }
inline void join_rows(F8 (&)[8]) {}

// What does not fit becomes the largest finite value, 65504. The order of operands keeps a NaN.
inline __m128i to_short(Half, F8 x) {
    const __m256 limit = _mm256_set1_ps(65504.0f);
    const __m256 inside = _mm256_max_ps(_mm256_sub_ps(_mm256_setzero_ps(), limit), _mm256_min_ps(limit, x.lanes));
    return _mm256_cvtps_ph(inside, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// As to_bfloat16() of half.h.
inline __m128i to_short(Bfloat16, F8 x) {
    const __m256i bits = _mm256_castps_si256(x.lanes);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x.lanes, x.lanes, _CMP_UNORD_Q));
    const __m256i upper = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, is_nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1));
}

template <class T>
inline void store_short(T* to, F8 x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), to_short(T{}, x));
}
template <class T>
inline void stream_short(T* to, F8 x) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(to), to_short(T{}, x));
}
template <class T>
inline void store_short_partial(T* to, F8 x, uint32_t count) {
    if (count == 8) return store_short(to, x);
    T all[8];
    store_short(all, x);
    for (uint32_t i = 0; i < count; ++i) to[i] = all[i];
}

// The order of operands makes a NaN -127, as to_int8() of half.h does.
inline void store_int8(int8_t* to, F8 x, uint32_t count) {
    const __m256 limit = _mm256_set1_ps(127.0f);
    const __m256 above = _mm256_max_ps(x.lanes, _mm256_sub_ps(_mm256_setzero_ps(), limit));
    const __m256i whole = _mm256_cvtps_epi32(_mm256_min_ps(above, limit));
    const __m128i pairs = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    const __m128i bytes = _mm_packs_epi16(pairs, pairs);
    if (count == 8) return _mm_storel_epi64(reinterpret_cast<__m128i*>(to), bytes);
    alignas(16) int8_t all[16];
    _mm_store_si128(reinterpret_cast<__m128i*>(all), bytes);
    for (uint32_t i = 0; i < count; ++i) to[i] = all[i];
}

}  // namespace
}  // namespace jpegfreq
