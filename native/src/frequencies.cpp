#include "frequencies.h"

#include "dispatch.h"
#include "jpegfreq_resample.h"

namespace jpegfreq {

void split_frequencies_generic(const int16_t* blocks, size_t count, uint8_t rows, int16_t* planes) {
    constexpr size_t tile = 32;  // blocks whose coefficients stay in the first-level cache
    for (size_t begin = 0; begin < count; begin += tile) {
        const size_t end = begin + tile < count ? begin + tile : count;
        for (size_t k = 0; k < 64; ++k) {
            if (!(rows >> (k / 8) & 1)) continue;
            for (size_t i = begin; i < end; ++i) planes[k * count + i] = blocks[i * 64 + k];
        }
    }
}

void split_frequencies(const int16_t* blocks, size_t count, uint8_t rows, int16_t* planes) {
    kernels().split_frequencies(blocks, count, rows, planes);
}

}  // namespace jpegfreq
