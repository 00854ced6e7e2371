// The lanes for any machine.
#include "lane_kernels.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace jpegfreq {
namespace {

struct PlainOps : InOrderOps<PlainOps> {
    typedef int16_t Vector __attribute__((vector_size(16), may_alias));

    static Vector with_first(Vector vector, int16_t value) {
        vector[0] = value;
        return vector;
    }

    template <bool stream>
    static void store(Vector* to, Vector vector) {
#ifdef __SSE2__
        if (stream) return _mm_stream_si128(reinterpret_cast<__m128i*>(to), reinterpret_cast<__m128i>(vector));
#endif
        std::memcpy(to, &vector, sizeof vector);
    }

    static uint64_t trailing_zeros(uint64_t bits) { return uint64_t(__builtin_ctzll(bits)); }

    template <int lane>
    static inline __attribute__((always_inline)) void step(LaneMemory* memory, uint64_t& window, uint64_t& p) {
        plain_step<lane, false>(memory, window, p);
    }
};

void finish_streaming() {
#ifdef __SSE2__
    _mm_sfence();
#endif
}

}  // namespace

const LaneKernels lane_kernels_generic = {4,
                                          step<PlainOps>,
                                          take_blocks<PlainOps, false>,
                                          take_blocks<PlainOps, true>,
                                          skip_blocks<PlainOps>,
                                          {keep_blocks<PlainOps, false>, give_blocks<PlainOps, false>},
                                          {keep_blocks<PlainOps, false>, give_blocks<PlainOps, false>},
                                          false,
                                          finish_streaming};

}  // namespace jpegfreq
