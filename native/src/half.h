// The small types of values: IEEE 754 binary16, bfloat16 and int8.
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

// To nearest, ties to even: the upper half of the float's bits.
inline uint16_t to_bfloat16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) return uint16_t(bits >> 16 | 0x40);  // NaN, made quiet
    return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// To nearest, ties to even; what does not fit becomes 127 or -127, and so does a NaN.
inline int8_t to_int8(float value) {
    const float inside = value > -127.0f ? (value < 127.0f ? value : 127.0f) : -127.0f;
    const float step = 12582912.0f;  // 1.5 * 2^23: a sum with it has no digits after the point
    return int8_t((inside + step) - step);
}

}  // namespace jpegfreq
