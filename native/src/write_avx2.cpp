// The inner loops of writing for AVX2, BMI and BMI2.
#include <immintrin.h>

#include "write_band_kernels.h"

namespace jpegfreq {

namespace {

// The natural order's rows of eight, as a map from the bits of one row to their places in the zigzag order.
struct RowToZigzag {
    uint64_t of[8][256];
};

constexpr uint8_t zigzag[64] = {0,  1,  5,  6,  14, 15, 27, 28, 2,  4,  7,  13, 16, 26, 29, 42, 3,  8,  12, 17, 25, 30,
                                41, 43, 9,  11, 18, 24, 31, 40, 44, 53, 10, 19, 23, 32, 39, 45, 52, 54, 20, 22, 33, 38,
                                46, 51, 55, 60, 21, 34, 37, 47, 50, 56, 59, 61, 35, 36, 48, 49, 57, 58, 62, 63};

constexpr RowToZigzag make_row_to_zigzag() {
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

static inline uint64_t extract_bits(uint64_t value, uint64_t mask) { return _pext_u64(value, mask); }

namespace {

// For each quarter of the input, which bytes of it stand in each byte of the output; 128 for none. The output is the zigzag
// order backwards: coefficient k becomes byte 63 - k.
struct BackwardZigzag {
    uint8_t from[4][64];
};

constexpr BackwardZigzag make_backward_zigzag() {
    BackwardZigzag table{};
    for (int quarter = 0; quarter < 4; quarter++)
        for (int i = 0; i < 64; i++) table.from[quarter][i] = 128;
    for (int i = 0; i < 64; i++) table.from[i / 16][63 - zigzag[i]] = uint8_t(i % 16);
    return table;
}

alignas(32) constexpr BackwardZigzag backward_zigzag = make_backward_zigzag();

inline __m256i load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

// The highest Al for which a byte holds all that is needed of a coefficient: bits 0 to 5 of the magnitude, bit 6 if it is
// larger, and the sign.
constexpr int byte_top = 6;

inline __m256i to_byte(__m256i values, __m256i magnitudes) {
    const __m256i low = _mm256_and_si256(magnitudes, _mm256_set1_epi16(0x3F));
    const __m256i large = _mm256_and_si256(_mm256_cmpgt_epi16(_mm256_srli_epi16(magnitudes, 6), _mm256_setzero_si256()),
                                           _mm256_set1_epi16(0x40));
    const __m256i sign = _mm256_slli_epi16(_mm256_srli_epi16(values, 15), 7);
    return _mm256_or_si256(_mm256_or_si256(low, large), sign);
}

inline uint64_t high_bits(__m256i low, __m256i high) {
    return uint32_t(_mm256_movemask_epi8(low)) | uint64_t(uint32_t(_mm256_movemask_epi8(high))) << 32;
}

struct Bytes64 {
    __m256i low, high;
};

// One half of the output, of four quarters that are each in both halves of a vector.
inline __m256i gather_bytes(const __m256i (&quarters)[4], int half) {
    __m256i bytes = _mm256_shuffle_epi8(quarters[0], load(backward_zigzag.from[0] + 32 * half));
    for (int i = 1; i < 4; i++)
        bytes = _mm256_or_si256(bytes, _mm256_shuffle_epi8(quarters[i], load(backward_zigzag.from[i] + 32 * half)));
    return bytes;
}

inline Bytes64 to_bytes(const int16_t* block, __m256i& magnitudes) {
    __m256i bytes[4];
    for (int i = 0; i < 4; i++) {
        const __m256i values = load(block + 16 * i);
        const __m256i magnitude = _mm256_abs_epi16(values);
        bytes[i] = to_byte(values, magnitude);
        // The DC coefficient does not count.
        const __m256i counted =
            i == 0 ? _mm256_andnot_si256(_mm256_setr_epi32(0xFFFF, 0, 0, 0, 0, 0, 0, 0), magnitude) : magnitude;
        magnitudes = _mm256_or_si256(magnitudes, counted);
    }
    __m256i quarters[4];
    for (int i = 0; i < 2; i++) {
        const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi16(bytes[2 * i], bytes[2 * i + 1]), 0xD8);
        quarters[2 * i] = _mm256_permute2x128_si256(packed, packed, 0x00);
        quarters[2 * i + 1] = _mm256_permute2x128_si256(packed, packed, 0x11);
    }
    return {gather_bytes(quarters, 0), gather_bytes(quarters, 1)};
}

}  // namespace

static uint32_t map_blocks(const int16_t* blocks, uint64_t count, int top, int16_t* dc, uint64_t* maps) {
    if (top > byte_top) {
        uint32_t magnitudes = 0;
        for (uint64_t n = 0; n < count; n++) {
            dc[n] = blocks[64 * n];
            magnitudes |= map_block(blocks + 64 * n, top, maps + n * uint64_t(map_count(top)));
        }
        return magnitudes;
    }
    __m256i magnitudes = _mm256_setzero_si256();
    const __m256i at_least_top = _mm256_set1_epi8(char(0x7F & ~((1 << top) - 1)));
    for (uint64_t n = 0; n < count; n++) {
        dc[n] = blocks[64 * n];
        const Bytes64 bytes = to_bytes(blocks + 64 * n, magnitudes);
        *maps++ = high_bits(bytes.low, bytes.high);
        const __m256i zero = _mm256_setzero_si256();
        *maps++ = ~high_bits(_mm256_cmpeq_epi8(_mm256_and_si256(bytes.low, at_least_top), zero),
                             _mm256_cmpeq_epi8(_mm256_and_si256(bytes.high, at_least_top), zero));
        for (int bit = top - 1; bit >= 0; bit--) {
            const __m128i shift = _mm_cvtsi32_si128(7 - bit);
            *maps++ = high_bits(_mm256_sll_epi16(bytes.low, shift), _mm256_sll_epi16(bytes.high, shift));
        }
    }
    alignas(32) uint16_t all[16];
    _mm256_store_si256(reinterpret_cast<__m256i*>(all), magnitudes);
    uint32_t sum = 0;
    for (const uint16_t one : all) sum |= one;
    return sum;
}

const WriteKernels write_kernels_avx2 = {gather_mcus,  pack_symbols,      map_blocks,
                                         gather_first, gather_refinement, end_band};

}  // namespace jpegfreq
