// The resample for aarch64, all of which have NEON: F8 is two vectors of 4 floats.
#include <arm_neon.h>

#include "half.h"
#include "resample_pass.h"

namespace jpegfreq {
namespace {

struct F8 {
    static constexpr uint32_t groups = 1;
    float32x4_t low, high;

    static F8 load(const float* from) { return {vld1q_f32(from), vld1q_f32(from + 4)}; }
    static F8 load_groups(const float* const (&from)[1]) { return load(from[0]); }
    static F8 load_int16(const int16_t* const (&from)[1]) {
        const int16x8_t values = vld1q_s16(from[0]);
        return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(values))), vcvtq_f32_s32(vmovl_high_s16(values))};
    }
    static F8 repeat(const float* from) { return load(from); }
    static F8 broadcast(float value) { return {vdupq_n_f32(value), vdupq_n_f32(value)}; }
};
using Wide = F8;
using Several = Wide;

inline void store(float* to, F8 x) {
    vst1q_f32(to, x.low);
    vst1q_f32(to + 4, x.high);
}
inline void stream(float* to, F8 x) { store(to, x); }
inline void finish_stream() {}

inline void store_partial(float* to, F8 x, uint32_t count) {
    if (count == 8) return store(to, x);
    float32x4_t part = x.low;
    if (count & 4) {
        vst1q_f32(to, part);
        part = x.high;
        to += 4;
    }
    float32x2_t two = vget_low_f32(part);
    if (count & 2) {
        vst1_f32(to, two);
        two = vget_high_f32(part);
        to += 2;
    }
    if (count & 1) vst1_lane_f32(to, two, 0);
}

template <int Width>
inline void scatter(float* to, size_t stride, F8 x) {
    if (Width == 8) {
        store(to, x);
    } else if (Width == 4) {
        vst1q_f32(to, x.low);
        vst1q_f32(to + stride, x.high);
    } else {
        vst1_f32(to, vget_low_f32(x.low));
        vst1_f32(to + stride, vget_high_f32(x.low));
        vst1_f32(to + 2 * stride, vget_low_f32(x.high));
        vst1_f32(to + 3 * stride, vget_high_f32(x.high));
    }
}

inline F8 operator+(F8 a, F8 b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
inline F8 operator-(F8 a, F8 b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
inline F8 operator*(F8 a, F8 b) { return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
inline F8 multiply_add(F8 a, F8 b, F8 c) { return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)}; }
inline F8 multiply_subtract(F8 a, F8 b, F8 c) {
    return {vnegq_f32(vfmsq_f32(c.low, a.low, b.low)), vnegq_f32(vfmsq_f32(c.high, a.high, b.high))};
}
inline F8 negative_multiply_add(F8 a, F8 b, F8 c) {
    return {vfmsq_f32(c.low, a.low, b.low), vfmsq_f32(c.high, a.high, b.high)};
}

[[gnu::always_inline]] inline void transpose(float32x4_t& a, float32x4_t& b, float32x4_t& c, float32x4_t& d) {
    const float32x4x2_t ab = vtrnq_f32(a, b), cd = vtrnq_f32(c, d);
    a = vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0]));
    b = vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1]));
    c = vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0]));
    d = vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]));
}

// The four quarters, of which two change places.
[[gnu::always_inline]] inline void transpose(F8 (&x)[8]) {
    transpose(x[0].low, x[1].low, x[2].low, x[3].low);
    transpose(x[0].high, x[1].high, x[2].high, x[3].high);
    transpose(x[4].low, x[5].low, x[6].low, x[7].low);
    transpose(x[4].high, x[5].high, x[6].high, x[7].high);
    for (int i = 0; i < 4; ++i) {
        const float32x4_t quarter = x[i].high;
        x[i].high = x[i + 4].low;
        x[i + 4].low = quarter;
    }
}

inline F8 group(F8 x, uint32_t) { return x; }
inline void join_rows(F8 (&)[8]) {}

// What does not fit becomes the largest finite value, 65504; vminq and vmaxq keep a NaN.
inline uint16x8_t to_short(Half, F8 x) {
    const float32x4_t limit = vdupq_n_f32(65504.0f);
    const float32x4_t low = vmaxq_f32(vnegq_f32(limit), vminq_f32(limit, x.low));
    const float32x4_t high = vmaxq_f32(vnegq_f32(limit), vminq_f32(limit, x.high));
    return vreinterpretq_u16_f16(vcombine_f16(vcvt_f16_f32(low), vcvt_f16_f32(high)));
}
// As to_bfloat16() of half.h.
inline uint16x4_t to_bfloat16s(float32x4_t x) {
    const uint32x4_t bits = vreinterpretq_u32_f32(x);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16);
}
inline uint16x8_t to_short(Bfloat16, F8 x) { return vcombine_u16(to_bfloat16s(x.low), to_bfloat16s(x.high)); }

template <class T>
inline void store_short(T* to, F8 x) {
    vst1q_u16(reinterpret_cast<uint16_t*>(to), to_short(T{}, x));
}
template <class T>
inline void stream_short(T* to, F8 x) {
    store_short(to, x);
}
template <class T>
inline void store_short_partial(T* to, F8 x, uint32_t count) {
    if (count == 8) return store_short(to, x);
    T all[8];
    store_short(all, x);
    for (uint32_t i = 0; i < count; ++i) to[i] = all[i];
}

// vmaxnmq takes the number where the other is a NaN, which so becomes -127, as to_int8() of half.h makes it.
inline int16x4_t to_int16(float32x4_t x) {
    const float32x4_t limit = vdupq_n_f32(127.0f);
    return vmovn_s32(vcvtnq_s32_f32(vminq_f32(limit, vmaxnmq_f32(vnegq_f32(limit), x))));
}
inline void store_int8(int8_t* to, F8 x, uint32_t count) {
    const int8x8_t bytes = vmovn_s16(vcombine_s16(to_int16(x.low), to_int16(x.high)));
    if (count == 8) return vst1_s8(to, bytes);
    int8_t all[8];
    vst1_s8(all, bytes);
    for (uint32_t i = 0; i < count; ++i) to[i] = all[i];
}

}  // namespace
}  // namespace jpegfreq

#include "reduction_kernels.h"
#include "resample_kernels.h"

namespace jpegfreq {

const ResampleKernels resample_kernels_neon = {run_pass, run_staged, reduce, wide_lanes};

}  // namespace jpegfreq
