// The inner loops of writing for AVX2, BMI and BMI2.
#include <immintrin.h>

#include "write_kernels.h"

namespace jpegfreq {

namespace {

// The natural order's rows of eight, as a map from the bits of one row to their places in the zigzag order.
struct RowToZigzag {
    uint64_t of[8][256];
};

constexpr RowToZigzag make_row_to_zigzag() {
    constexpr uint8_t zigzag[64] = {0,  1,  5,  6,  14, 15, 27, 28, 2,  4,  7,  13, 16, 26, 29, 42,
                                    3,  8,  12, 17, 25, 30, 41, 43, 9,  11, 18, 24, 31, 40, 44, 53,
                                    10, 19, 23, 32, 39, 45, 52, 54, 20, 22, 33, 38, 46, 51, 55, 60,
                                    21, 34, 37, 47, 50, 56, 59, 61, 35, 36, 48, 49, 57, 58, 62, 63};
    RowToZigzag table{};
    for (int row = 0; row < 8; row++)
        for (int bits = 0; bits < 256; bits++)
            for (int u = 0; u < 8; u++)
                if (bits >> u & 1) table.of[row][bits] |= uint64_t(1) << zigzag[8 * row + u];
    return table;
}

constexpr RowToZigzag row_to_zigzag = make_row_to_zigzag();

// Of four rows: a bit for each coefficient that is zero.
inline uint32_t zeros_of_half(const int16_t* rows) {
    const __m256i* const two = reinterpret_cast<const __m256i*>(rows);
    const __m256i low = _mm256_loadu_si256(two), high = _mm256_loadu_si256(two + 1);
    // Packing works within halves of 128 bits: rows 0, 2, 1, 3.
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xD8);
    return uint32_t(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256())));
}

}  // namespace

static inline uint64_t nonzero_in_zigzag(const int16_t* block) {
    const uint32_t upper = ~zeros_of_half(block), lower = ~zeros_of_half(block + 32);
    const auto& of = row_to_zigzag.of;
    return of[0][upper & 255] | of[1][upper >> 8 & 255] | of[2][upper >> 16 & 255] | of[3][upper >> 24] |
           of[4][lower & 255] | of[5][lower >> 8 & 255] | of[6][lower >> 16 & 255] | of[7][lower >> 24];
}

const WriteKernels write_kernels_avx2 = {gather_mcus, pack_symbols};

}  // namespace jpegfreq
