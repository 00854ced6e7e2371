// IEEE 754 binary16.
#pragma once

#include <cstdint>
#include <cstring>

namespace jpegfreq {

// To nearest, ties to even, as F16C converts; what does not fit becomes the largest finite value, 65504.
inline uint16_t to_half(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const uint16_t sign = uint16_t(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return uint16_t(sign | 0x7e00 | (bits >> 13 & 0x1ff));  // NaN, made quiet
    if (bits > 0x477fe000) return uint16_t(sign | 0x7bff);
    if (bits < 0x38800000) {  // below 2^-14: subnormal, in units of 2^-24, which is the last bit of a sum with 0.5
        float magnitude;
        std::memcpy(&magnitude, &bits, sizeof magnitude);
        magnitude += 0.5f;
        std::memcpy(&bits, &magnitude, sizeof bits);
        return uint16_t(sign | (bits - 0x3f000000));
    }
    bits += 0xfff + (bits >> 13 & 1);
    return uint16_t(sign | ((bits - 0x38000000) >> 13));
}

}  // namespace jpegfreq
