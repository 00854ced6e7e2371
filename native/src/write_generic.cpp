// The inner loops of writing in plain C++.
#include "write_band_kernels.h"

namespace jpegfreq {

static inline uint64_t nonzero_in_zigzag(const int16_t* block) {
    uint64_t nonzero = 0;
    for (int k = 0; k < 64; k++) nonzero |= uint64_t(block[natural_order[k]] != 0) << k;
    return nonzero;
}

static inline uint64_t extract_bits(uint64_t value, uint64_t mask) {
    uint64_t bits = 0;
    for (uint64_t place = 1; mask; place <<= 1) {
        if (value & mask & -mask) bits |= place;
        mask &= mask - 1;
    }
    return bits;
}

static uint32_t map_blocks(const int16_t* blocks, uint64_t count, int top, int16_t* dc, uint64_t* maps) {
    uint32_t magnitudes = 0;
    for (uint64_t n = 0; n < count; n++) {
        dc[n] = blocks[64 * n];
        magnitudes |= map_block(blocks + 64 * n, top, maps + n * uint64_t(map_count(top)));
    }
    return magnitudes;
}

const WriteKernels write_kernels_generic = {gather_mcus,  pack_symbols,      map_blocks,
                                            gather_first, gather_refinement, end_band};

}  // namespace jpegfreq
