#include <immintrin.h>

#include "unstuff.h"

namespace jpegfreq {

size_t copy_to_ff_avx2(const uint8_t* in, const uint8_t* end, uint8_t* out) {
    const __m256i ff = _mm256_set1_epi8(-1);
    const uint8_t* p = in;
    while (end - p >= 32) {
        const __m256i chunk = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), chunk);
        const unsigned mask = unsigned(_mm256_movemask_epi8(_mm256_cmpeq_epi8(chunk, ff)));
        if (mask) return size_t(p - in) + unsigned(__builtin_ctz(mask));
        p += 32;
        out += 32;
    }
    while (p < end && *p != 0xFF) *out++ = *p++;
    return size_t(p - in);
}

}  // namespace jpegfreq
