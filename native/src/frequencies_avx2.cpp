// Splitting frequencies with 8x8 transposes of 16-bit values. Entered by run-time dispatch only.
#include "frequencies.h"

#include <immintrin.h>

namespace jpegfreq {

namespace {

// Eight rows of eight values: one row per block, then one row per frequency.
inline void transpose(__m128i (&x)[8]) {
    __m128i pair[8], quad[8];
    for (int i = 0; i < 4; ++i) {
        pair[2 * i] = _mm_unpacklo_epi16(x[2 * i], x[2 * i + 1]);
        pair[2 * i + 1] = _mm_unpackhi_epi16(x[2 * i], x[2 * i + 1]);
    }
    for (int i = 0; i < 2; ++i) {
        for (int j = 0; j < 2; ++j) {
            quad[4 * i + 2 * j] = _mm_unpacklo_epi32(pair[4 * i + j], pair[4 * i + 2 + j]);
            quad[4 * i + 2 * j + 1] = _mm_unpackhi_epi32(pair[4 * i + j], pair[4 * i + 2 + j]);
        }
    }
    for (int j = 0; j < 4; ++j) {
        x[2 * j] = _mm_unpacklo_epi64(quad[j], quad[4 + j]);
        x[2 * j + 1] = _mm_unpackhi_epi64(quad[j], quad[4 + j]);
    }
}

// Asks for one row of each of 8 blocks, because the hardware's prefetcher does not follow reads that lie 128 bytes apart.
// Addresses after the end of the blocks are harmless: a prefetch never faults.
inline void prefetch_rows(const int16_t* row) {
    for (int b = 0; b < 8; ++b) _mm_prefetch(reinterpret_cast<const char*>(row + 64 * b), _MM_HINT_T0);
}

}  // namespace

void split_frequencies_avx2(const int16_t* blocks, size_t count, uint8_t rows, int16_t* planes) {
    if (count < 8) return split_frequencies_generic(blocks, count, rows, planes);
    constexpr size_t tile = 32;  // blocks that fill a cache line of each plane
    for (size_t begin = 0; begin < count; begin += tile) {
        const size_t end = begin + tile < count ? begin + tile : count;
        for (size_t v = 0; v < 8; ++v) {
            if (!(rows >> v & 1)) continue;
            for (size_t step = begin; step < end; step += 8) {
                const size_t i = step + 8 <= count ? step : count - 8;  // the last eight overlap those before
                prefetch_rows(blocks + (i + tile) * 64 + 8 * v);
                __m128i x[8];
                for (size_t b = 0; b < 8; ++b) {
                    x[b] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(blocks + (i + b) * 64 + 8 * v));
                }
                transpose(x);
                for (size_t u = 0; u < 8; ++u) {
                    _mm_storeu_si128(reinterpret_cast<__m128i*>(planes + (8 * v + u) * count + i), x[u]);
                }
            }
        }
    }
}

}  // namespace jpegfreq
