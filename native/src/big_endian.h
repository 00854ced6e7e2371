#pragma once

#include <cstdint>

namespace jpegfreq {

inline uint32_t be16(const uint8_t* p) { return uint32_t(p[0]) << 8 | p[1]; }

}  // namespace jpegfreq
