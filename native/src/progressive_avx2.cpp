// The AC kernels with BMI2 and AVX2.
#include "progressive_bmi2.h"

namespace jpegfreq {
namespace {

struct Avx2Vectors {
    // 16 coefficients at a time: bit masks become lane masks; the step takes the sign of the coefficient, or the new one's.
    static void update_16(int16_t* block, uint64_t touched, uint64_t negative, __m256i steps) {
        const __m256i lane_bits =
            _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, -32768);
        const __m256i touched_bits = _mm256_and_si256(_mm256_set1_epi16(int16_t(touched)), lane_bits);
        const __m256i negative_bits = _mm256_and_si256(_mm256_set1_epi16(int16_t(negative)), lane_bits);
        const __m256i is_touched = _mm256_cmpeq_epi16(touched_bits, lane_bits);
        const __m256i is_negative = _mm256_cmpeq_epi16(negative_bits, lane_bits);
        __m256i* const place = reinterpret_cast<__m256i*>(block);
        const __m256i old = _mm256_loadu_si256(place);
        const __m256i sign = _mm256_or_si256(_mm256_or_si256(old, is_negative), _mm256_set1_epi16(1));
        const __m256i change = _mm256_sign_epi16(_mm256_and_si256(is_touched, steps), sign);
        _mm256_storeu_si256(place, _mm256_add_epi16(old, change));
    }

    static void update(int16_t* block, uint64_t touched, uint64_t negative, int16_t step) {
        const __m256i steps = _mm256_set1_epi16(step);
        update_16(block, touched, negative, steps);
        update_16(block + 16, touched >> 16, negative >> 16, steps);
        update_16(block + 32, touched >> 32, negative >> 32, steps);
        update_16(block + 48, touched >> 48, negative >> 48, steps);
    }
};

// Rows 0 to 3 of a block take the zigzag places of rows 7 to 4 counted from the end: place(7 - v, 7 - u) = 63 - place(v, u).
// So row v and row 7 - v are made together, in the halves of one register, from pairs of eight places at both ends.
inline __m256i pair(const int16_t* block, int low) {
    const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 8 * low));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first),
                                   _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 8 * (7 - low))), 1);
}

// Byte numbers of 8 coefficients in the low half's source (-1: none), and mirrored in the high half.
#define X -1
#define SELECT(a, b, c, d, e, f, g, h)                                                                            \
    _mm256_setr_epi8(LOW(a), HIGH(a), LOW(b), HIGH(b), LOW(c), HIGH(c), LOW(d), HIGH(d), LOW(e), HIGH(e), LOW(f), \
                     HIGH(f), LOW(g), HIGH(g), LOW(h), HIGH(h), LOW(M(h)), HIGH(M(h)), LOW(M(g)), HIGH(M(g)),     \
                     LOW(M(f)), HIGH(M(f)), LOW(M(e)), HIGH(M(e)), LOW(M(d)), HIGH(M(d)), LOW(M(c)), HIGH(M(c)),  \
                     LOW(M(b)), HIGH(M(b)), LOW(M(a)), HIGH(M(a)))
#define M(a) ((a) < 0 ? -1 : 7 - (a))
#define LOW(a) char((a) < 0 ? -1 : 2 * (a))
#define HIGH(a) char((a) < 0 ? -1 : 2 * (a) + 1)
#define PICK(source, ...) _mm256_shuffle_epi8(source, SELECT(__VA_ARGS__))

inline __m256i join(__m256i a, __m256i b) { return _mm256_or_si256(a, b); }

inline void store_rows(int16_t* out, int row, __m256i rows) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 8 * row), _mm256_castsi256_si128(rows));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 8 * (7 - row)), _mm256_extracti128_si256(rows, 1));
}

inline void to_natural_order(const int16_t* block, int16_t* out) {
    const __m256i a = pair(block, 0);                      // places 0-7 | 56-63
    const __m256i b = pair(block, 1);                      // 8-15 | 48-55
    const __m256i c = pair(block, 2);                      // 16-23 | 40-47
    const __m256i d = pair(block, 3);                      // 24-31 | 32-39
    const __m256i f = _mm256_permute2x128_si256(c, c, 1);  // 40-47 | 16-23
    const __m256i g = _mm256_permute2x128_si256(b, b, 1);  // 48-55 | 8-15
    // Row 0: 0 1 5 6 14 15 27 28
    store_rows(
        out, 0,
        join(join(PICK(a, 0, 1, 5, 6, X, X, X, X), PICK(b, X, X, X, X, 6, 7, X, X)), PICK(d, X, X, X, X, X, X, 3, 4)));
    // Row 1: 2 4 7 13 16 26 29 42
    store_rows(out, 1,
               join(join(join(PICK(a, 2, 4, 7, X, X, X, X, X), PICK(b, X, X, X, 5, X, X, X, X)),
                         join(PICK(c, X, X, X, X, 0, X, X, X), PICK(d, X, X, X, X, X, 2, 5, X))),
                    PICK(f, X, X, X, X, X, X, X, 2)));
    // Row 2: 3 8 12 17 25 30 41 43
    store_rows(out, 2,
               join(join(join(PICK(a, 3, X, X, X, X, X, X, X), PICK(b, X, 0, 4, X, X, X, X, X)),
                         join(PICK(c, X, X, X, 1, X, X, X, X), PICK(d, X, X, X, X, 1, 6, X, X))),
                    PICK(f, X, X, X, X, X, X, 1, 3)));
    // Row 3: 9 11 18 24 31 40 44 53
    store_rows(out, 3,
               join(join(join(PICK(b, 1, 3, X, X, X, X, X, X), PICK(c, X, X, 2, X, X, X, X, X)),
                         join(PICK(d, X, X, X, 0, 7, X, X, X), PICK(f, X, X, X, X, X, 0, 4, X))),
                    PICK(g, X, X, X, X, X, X, X, 5)));
}
#undef X
#undef SELECT
#undef M
#undef LOW
#undef HIGH
#undef PICK

void emit(int16_t* blocks, uint64_t* maps, const int16_t* dc, int16_t* plane, uint32_t count) {
    const __m256i zero = _mm256_setzero_si256();
    for (uint32_t b = 0; b < count; b++) {
        int16_t* const block = blocks + 64 * size_t(b);
        int16_t* const out = plane + 64 * size_t(b);
        if (maps[b]) {
            to_natural_order(block, out);
            for (int i = 0; i < 4; i++) _mm256_storeu_si256(reinterpret_cast<__m256i*>(block) + i, zero);
            maps[b] = 0;
        } else {
            for (int i = 0; i < 4; i++) _mm256_storeu_si256(reinterpret_cast<__m256i*>(out) + i, zero);
        }
        out[0] = dc[b];
    }
}

}  // namespace

const AcKernels ac_kernels_avx2 = {decode_first<Bmi2AcOps<Avx2Vectors>>, decode_refinement<Bmi2AcOps<Avx2Vectors>>,
                                   emit};

}  // namespace jpegfreq
