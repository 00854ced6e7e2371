// SHA-256 over 16 lanes of 32 bits. Compiled with flags of its own and entered by run-time dispatch only.
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 warns of the vectors that its own header leaves undefined on purpose.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include "sha256.h"

namespace jpegfreq {
namespace {

using Words = __m512i;

inline Words add(Words a, Words b) { return _mm512_add_epi32(a, b); }
inline Words xor3(Words a, Words b, Words c) { return _mm512_ternarylogic_epi32(a, b, c, 0x96); }
inline Words choose(Words x, Words y, Words z) { return _mm512_ternarylogic_epi32(x, y, z, 0xca); }
inline Words majority(Words x, Words y, Words z) { return _mm512_ternarylogic_epi32(x, y, z, 0xe8); }

// The four functions of FIPS 180-4, 4.1.2, by their names there.
inline Words big_sigma0(Words x) {
    return xor3(_mm512_ror_epi32(x, 2), _mm512_ror_epi32(x, 13), _mm512_ror_epi32(x, 22));
}
inline Words big_sigma1(Words x) {
    return xor3(_mm512_ror_epi32(x, 6), _mm512_ror_epi32(x, 11), _mm512_ror_epi32(x, 25));
}
inline Words small_sigma0(Words x) {
    return xor3(_mm512_ror_epi32(x, 7), _mm512_ror_epi32(x, 18), _mm512_srli_epi32(x, 3));
}
inline Words small_sigma1(Words x) {
    return xor3(_mm512_ror_epi32(x, 17), _mm512_ror_epi32(x, 19), _mm512_srli_epi32(x, 10));
}

// Rows of 16 words become columns.
[[gnu::always_inline]] inline void transpose(Words (&x)[16]) {
    Words quad[16];  // [4 * g + j]: in its quarter q, word 4 * q + j of the rows 4 * g to 4 * g + 3
    for (int g = 0; g < 16; g += 4) {
        const Words low01 = _mm512_unpacklo_epi32(x[g], x[g + 1]), high01 = _mm512_unpackhi_epi32(x[g], x[g + 1]);
        const Words low23 = _mm512_unpacklo_epi32(x[g + 2], x[g + 3]);
        const Words high23 = _mm512_unpackhi_epi32(x[g + 2], x[g + 3]);
        quad[g] = _mm512_unpacklo_epi64(low01, low23);
        quad[g + 1] = _mm512_unpackhi_epi64(low01, low23);
        quad[g + 2] = _mm512_unpacklo_epi64(high01, high23);
        quad[g + 3] = _mm512_unpackhi_epi64(high01, high23);
    }
    for (int j = 0; j < 4; j++) {
        const Words even0 = _mm512_shuffle_i32x4(quad[j], quad[4 + j], 0x88);
        const Words odd0 = _mm512_shuffle_i32x4(quad[j], quad[4 + j], 0xdd);
        const Words even1 = _mm512_shuffle_i32x4(quad[8 + j], quad[12 + j], 0x88);
        const Words odd1 = _mm512_shuffle_i32x4(quad[8 + j], quad[12 + j], 0xdd);
        x[j] = _mm512_shuffle_i32x4(even0, even1, 0x88);
        x[4 + j] = _mm512_shuffle_i32x4(odd0, odd1, 0x88);
        x[8 + j] = _mm512_shuffle_i32x4(even0, even1, 0xdd);
        x[12 + j] = _mm512_shuffle_i32x4(odd0, odd1, 0xdd);
    }
}

}  // namespace

void hash_blocks_avx512(HashState& state, const uint8_t* const (&places)[hash_lanes], size_t blocks) {
    const Words big_endian = _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    Words sum[8];
    for (int i = 0; i < 8; i++) sum[i] = _mm512_load_si512(state[i]);
    for (size_t block = 0; block < blocks; block++) {
        Words w[16];
        for (int l = 0; l < hash_lanes; l++) w[l] = _mm512_loadu_si512(places[l] + 64 * block);
        transpose(w);
        for (Words& word : w) word = _mm512_shuffle_epi8(word, big_endian);
        Words a = sum[0], b = sum[1], c = sum[2], d = sum[3], e = sum[4], f = sum[5], g = sum[6], h = sum[7];
        // FIPS 180-4, 6.2.2. Unrolled, so that the 16 words of the schedule and the state stay in registers.
#pragma GCC unroll 4
        for (int first = 0; first < 64; first += 16) {
#pragma GCC unroll 16
            for (int i = 0; i < 16; i++) {
                const Words k = _mm512_set1_epi32(int(sha256_constants[first + i]));
                const Words t1 = add(add(add(h, w[i]), add(k, choose(e, f, g))), big_sigma1(e));
                const Words t2 = add(big_sigma0(a), majority(a, b, c));
                h = g;
                g = f;
                f = e;
                e = add(d, t1);
                d = c;
                c = b;
                b = a;
                a = add(t1, t2);
                if (first == 48) continue;
                const Words later = add(small_sigma0(w[(i + 1) % 16]), small_sigma1(w[(i + 14) % 16]));
                w[i] = add(add(w[i], w[(i + 9) % 16]), later);
            }
        }
        const Words result[8] = {a, b, c, d, e, f, g, h};
        for (int i = 0; i < 8; i++) sum[i] = add(sum[i], result[i]);
    }
    for (int i = 0; i < 8; i++) _mm512_store_si512(state[i], sum[i]);
}

}  // namespace jpegfreq
