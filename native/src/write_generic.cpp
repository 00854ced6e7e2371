// The inner loops of writing in plain C++.
#include "write_kernels.h"

namespace jpegfreq {

static inline uint64_t nonzero_in_zigzag(const int16_t* block) {
    uint64_t nonzero = 0;
    for (int k = 0; k < 64; k++) nonzero |= uint64_t(block[natural_order[k]] != 0) << k;
    return nonzero;
}

const WriteKernels write_kernels_generic = {gather_mcus, pack_symbols};

}  // namespace jpegfreq
