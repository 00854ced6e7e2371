// Which instruction set this process uses. Chosen once, at the first call.
#pragma once

namespace jpegfreq {

// AVX2 with BMI1/BMI2 and FMA, and not forbidden by the environment variable JPEGFREQ_INSTRUCTION_SET=generic (for tests
// and comparisons).
bool use_avx2();

}  // namespace jpegfreq
