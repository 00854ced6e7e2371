// How vectors and runs of values get to the ring, and to the tensor in its type; see resample_kernels.h.
#pragma once

#include "resample_arithmetic.h"

namespace jpegfreq {
namespace {

// Turned columns to their rows of the ring.
[[gnu::always_inline]] inline void store_rows(float* ring, size_t stride, const Wide (&x)[8]) {
    for (int y = 0; y < 8; ++y) scatter<8>(ring + y * stride, 8 * stride, x[y]);
}
template <class F>
[[gnu::always_inline]] inline void store_rows(float* ring, size_t stride, const Two<F> (&x)[8]) {
    for (int y = 0; y < 8; ++y) scatter_two(ring + y * stride, 8 * stride, x[y].first, x[y].second);
}

// The stores of each type under one name.
template <class F>
inline void store_part(float* to, const F& x, uint32_t count) {
    count == 8 * F::groups ? store(to, x) : store_partial(to, x, count);
}
template <class T, class F>
inline void store_part(T* to, const F& x, uint32_t count) {
    count == 8 * F::groups ? store_short(to, x) : store_short_partial(to, x, count);
}
template <class F>
inline void store_part(int8_t* to, const F& x, uint32_t count) {
    store_int8(to, x, count);
}
inline void stream_part(float* to, const Wide& x) { stream(to, x); }
template <class T>
inline void stream_part(T* to, const Wide& x) {
    stream_short(to, x);
}
inline void stream_part(int8_t* to, const Wide& x) { store_int8(to, x, wide_lanes); }

// Calls `use` with `to` as a pointer to values of the type.
template <class Use>
[[gnu::always_inline]] inline void with_type(TensorType type, void* to, const Use& use) {
    switch (type) {
        case TensorType::float32: return use(static_cast<float*>(to));
        case TensorType::float16: return use(static_cast<Half*>(to));
        case TensorType::bfloat16: return use(static_cast<Bfloat16*>(to));
        case TensorType::int8: return use(static_cast<int8_t*>(to));
    }
}

template <class T>
inline void store_values(const float* from, T* to, size_t count) {
    size_t i = 0;
    for (; i + wide_lanes <= count; i += wide_lanes) store_part(to + i, Wide::load(from + i), wide_lanes);
    for (; i < count; i += 8) store_part(to + i, F8::load(from + i), count - i < 8 ? uint32_t(count - i) : 8);
}

// With non-temporal stores for the whole cache lines. Parts of lines at both ends are shared with other runs.
template <class T>
inline void stream_values(const float* from, T* to, size_t count) {
    constexpr size_t line = 64 / sizeof(T);
    const size_t before = (64 - reinterpret_cast<uintptr_t>(to) % 64) % 64 / sizeof(T);
    if (count < before + line) return store_values(from, to, count);
    store_values(from, to, before);
    size_t i = before;
    for (; i + line <= count; i += line) {
        for (size_t j = 0; j < line; j += wide_lanes) stream_part(to + i + j, Wide::load(from + i + j));
    }
    store_values(from + i, to + i, count - i);
}

// A run of `count` values from `from` to the tensor's element `index`.
inline void store_run(const ResamplePass& pass, const float* from, size_t index, size_t count) {
    with_type(pass.type, pass.out, [&](auto* out) {
        pass.stream ? stream_values(from, out + index, count) : store_values(from, out + index, count);
    });
}

}  // namespace
}  // namespace jpegfreq
