// A plane's blocks as planes of one frequency each, for tensors in CHW order.
#pragma once

#include <cstddef>
#include <cstdint>

namespace jpegfreq {

using SplitFrequencies = void (*)(const int16_t* blocks, size_t count, uint8_t rows, int16_t* planes);

void split_frequencies_generic(const int16_t* blocks, size_t count, uint8_t rows, int16_t* planes);
void split_frequencies_avx2(const int16_t* blocks, size_t count, uint8_t rows, int16_t* planes);

}  // namespace jpegfreq
