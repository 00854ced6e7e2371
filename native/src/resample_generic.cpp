// The resample for any machine: F8 is 8 floats in an array, which compilers vectorize as far as the target goes.
#include <cstring>

#include "half.h"
#include "resample_pass.h"

namespace jpegfreq {
namespace {

struct F8 {
    static constexpr uint32_t groups = 1;
    float lane[8];

    static F8 load(const float* from) {
        F8 x;
        std::memcpy(x.lane, from, sizeof x.lane);
        return x;
    }

    static F8 load_groups(const float* const (&from)[1]) { return load(from[0]); }

    static F8 load_int16(const int16_t* const (&from)[1]) {
        F8 x;
        for (int i = 0; i < 8; ++i) x.lane[i] = from[0][i];
        return x;
    }

    static F8 repeat(const float* from) { return load(from); }

    static F8 broadcast(float value) {
        F8 x;
        for (float& lane : x.lane) lane = value;
        return x;
    }
};
using Wide = F8;
using Several = Wide;

inline void store(float* to, const F8& x) { std::memcpy(to, x.lane, sizeof x.lane); }
inline void stream(float* to, const F8& x) { store(to, x); }
inline void finish_stream() {}
inline void store_partial(float* to, const F8& x, uint32_t count) { std::memcpy(to, x.lane, count * sizeof(float)); }
template <int Width>
inline void scatter(float* to, size_t stride, const F8& x) {
    for (int i = 0; i < 8; i += Width) std::memcpy(to + i / Width * stride, x.lane + i, Width * sizeof(float));
}

inline F8 operator+(const F8& a, const F8& b) {
    F8 x;
    for (int i = 0; i < 8; ++i) x.lane[i] = a.lane[i] + b.lane[i];
    return x;
}

inline F8 operator-(const F8& a, const F8& b) {
    F8 x;
    for (int i = 0; i < 8; ++i) x.lane[i] = a.lane[i] - b.lane[i];
    return x;
}

inline F8 operator*(const F8& a, const F8& b) {
    F8 x;
    for (int i = 0; i < 8; ++i) x.lane[i] = a.lane[i] * b.lane[i];
    return x;
}

inline F8 multiply_add(const F8& a, const F8& b, const F8& c) { return a * b + c; }
inline F8 multiply_subtract(const F8& a, const F8& b, const F8& c) { return a * b - c; }
inline F8 negative_multiply_add(const F8& a, const F8& b, const F8& c) { return c - a * b; }

inline void transpose(F8 (&x)[8]) {
    for (int i = 0; i < 8; ++i) {
        for (int j = 0; j < i; ++j) {
            const float value = x[i].lane[j];
            x[i].lane[j] = x[j].lane[i];
            x[j].lane[i] = value;
        }
    }
}

inline const F8& group(const F8& x, uint32_t) { return x; }
inline void join_rows(F8 (&)[8]) {}

inline void store_short_partial(Half* to, const F8& x, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) to[i].bits = to_half(x.lane[i]);
}
inline void store_short_partial(Bfloat16* to, const F8& x, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) to[i].bits = to_bfloat16(x.lane[i]);
}
template <class T>
inline void store_short(T* to, const F8& x) {
    store_short_partial(to, x, 8);
}
template <class T>
inline void stream_short(T* to, const F8& x) {
    store_short(to, x);
}

inline void store_int8(int8_t* to, const F8& x, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) to[i] = to_int8(x.lane[i]);
}

}  // namespace
}  // namespace jpegfreq

#include "reduction_kernels.h"
#include "resample_kernels.h"

namespace jpegfreq {

const ResampleKernels resample_kernels_generic = {run_pass, run_staged, reduce, wide_lanes};

}  // namespace jpegfreq
