// A block from zigzag into natural order, with AVX-512.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace jpegfreq {
namespace {

// Zigzag index of each coefficient of the natural order (T.81 A.3.6).
alignas(64) constexpr int16_t zigzag_index[64] = {
    0,  1,  5,  6,  14, 15, 27, 28,  //
    2,  4,  7,  13, 16, 26, 29, 42,  //
    3,  8,  12, 17, 25, 30, 41, 43,  //
    9,  11, 18, 24, 31, 40, 44, 53,  //
    10, 19, 23, 32, 39, 45, 52, 54,  //
    20, 22, 33, 38, 46, 51, 55, 60,  //
    21, 34, 37, 47, 50, 56, 59, 61,  //
    35, 36, 48, 49, 57, 58, 62, 63,
};

// Coefficients 0 to 31 and 32 to 63 of the natural order, from those of the zigzag.
inline __m512i first_half(__m512i low, __m512i high) {
    return _mm512_permutex2var_epi16(low, _mm512_load_si512(zigzag_index), high);
}
inline __m512i second_half(__m512i low, __m512i high) {
    return _mm512_permutex2var_epi16(low, _mm512_load_si512(zigzag_index + 32), high);
}

}  // namespace
}  // namespace jpegfreq
