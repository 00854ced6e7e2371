// DCTs and taps of the resample, which every form of rows shares; see resample_kernels.h.
#pragma once

#include "resample_two.h"

namespace jpegfreq {
namespace {

constexpr uint32_t wide_lanes = 8 * Wide::groups;

// Inverse DCT of 8 (Arai, Agui, Nakajima), with its scale factors in the dequantization table, from its first sums and
// differences.
template <class F>
[[gnu::always_inline]] inline void finish_inverse_dct(F sum04, F difference04, F sum26, F difference26, F sum53,
                                                      F difference53, F sum17, F difference17, F (&x)[8]) {
    const F e2 = multiply_subtract(difference26, F::broadcast(1.414213562f), sum26);
    const F a0 = sum04 + sum26, a3 = sum04 - sum26, a1 = difference04 + e2, a2 = difference04 - e2;

    const F b7 = sum17 + sum53;
    const F tangent = F::broadcast(0.414213562f);  // tan(pi / 8)
    const F rotate = F::broadcast(1.847759065f);   // 2 cos(pi / 8)
    const F b6 = multiply_subtract(negative_multiply_add(difference53, tangent, difference17), rotate, b7);
    const F b5 = multiply_subtract(sum17 - sum53, F::broadcast(1.414213562f), b6);
    const F b4 = multiply_subtract(multiply_add(difference17, tangent, difference53), rotate, b5);
    x[0] = a0 + b7, x[7] = a0 - b7;
    x[1] = a1 + b6, x[6] = a1 - b6;
    x[2] = a2 + b5, x[5] = a2 - b5;
    x[3] = a3 + b4, x[4] = a3 - b4;
}

template <class F>
[[gnu::always_inline]] inline void inverse_dct(F (&x)[8]) {
    finish_inverse_dct<F>(x[0] + x[4], x[0] - x[4], x[2] + x[6], x[2] - x[6], x[5] + x[3], x[5] - x[3], x[1] + x[7],
                          x[1] - x[7], x);
}

// Of x times `by`. The fused operations are named, so that compilers cannot choose which of two products is rounded.
template <class F>
[[gnu::always_inline]] inline void inverse_dct_of_products(F (&x)[8], const F (&by)[8]) {
    const F product4 = x[4] * by[4], product5 = x[5] * by[5], product6 = x[6] * by[6], product7 = x[7] * by[7];
    finish_inverse_dct<F>(multiply_add(x[0], by[0], product4), multiply_subtract(x[0], by[0], product4),
                          multiply_add(x[2], by[2], product6), multiply_subtract(x[2], by[2], product6),
                          multiply_add(x[3], by[3], product5), negative_multiply_add(x[3], by[3], product5),
                          multiply_add(x[1], by[1], product7), multiply_subtract(x[1], by[1], product7), x);
}

// Forward DCT of 8, with its scale factors in the output's scale.
template <class F>
[[gnu::always_inline]] inline void forward_dct(F (&x)[8]) {
    const F t0 = x[0] + x[7], t7 = x[0] - x[7], t1 = x[1] + x[6], t6 = x[1] - x[6];
    const F t2 = x[2] + x[5], t5 = x[2] - x[5], t3 = x[3] + x[4], t4 = x[3] - x[4];

    const F e0 = t0 + t3, e3 = t0 - t3, e1 = t1 + t2, e2 = t1 - t2;
    const F half = F::broadcast(0.707106781f);
    const F e23 = e2 + e3;
    x[0] = e0 + e1, x[4] = e0 - e1;
    x[2] = multiply_add(e23, half, e3), x[6] = negative_multiply_add(e23, half, e3);

    const F o0 = t4 + t5, o1 = t5 + t6, o2 = t6 + t7;
    const F tangent = F::broadcast(0.414213562f);
    const F cosine = F::broadcast(0.923879533f);  // cos(pi / 8)
    const F z2 = negative_multiply_add(o2, tangent, o0);
    const F z4 = multiply_add(o0, tangent, o2);
    const F z11 = multiply_add(o1, half, t7), z13 = negative_multiply_add(o1, half, t7);
    x[5] = multiply_add(z2, cosine, z13), x[3] = negative_multiply_add(z2, cosine, z13);
    x[1] = multiply_add(z4, cosine, z11), x[7] = negative_multiply_add(z4, cosine, z11);
}

// One output sample per lane: `count` taps, `step` floats from one to the next. Count is `count`, or 0 where that varies.
template <int Count, class F>
[[gnu::always_inline]] inline F apply_taps(const float* from, size_t step, const float* weights, uint32_t count) {
    if (Count == 2) {  // weights add up to 1
        const F first = F::load(from);
        return multiply_add(F::load(from + step) - first, F::broadcast(weights[1]), first);
    }
    F sum = F::load(from) * F::broadcast(weights[0]);
    const uint32_t last = Count ? Count : count;
    for (uint32_t t = 1; t < last; ++t) sum = multiply_add(F::load(from + t * step), F::broadcast(weights[t]), sum);
    return sum;
}

// What the horizontal taps read: a copy, which no store can change.
struct ColumnTaps {
    const float* columns;
    const uint32_t* offset;
    const float* weights;
    uint32_t count;

    explicit ColumnTaps(const ResamplePass& pass)
        : columns(pass.columns),
          offset(pass.horizontal_offset),
          weights(pass.horizontal_weights),
          count(pass.horizontal_count) {}
};

// Taps and DCT of the 8 output columns of a block, and of its right neighbour in the second part of F: x[u], lanes = rows.
template <int Count, class F>
[[gnu::always_inline]] inline void horizontal_block(const ColumnTaps& taps, uint32_t block, F (&x)[8]) {
    const uint32_t count = Count ? Count : taps.count;
    const float* weights = taps.weights + size_t(8) * block * count;
    const uint32_t* offset = taps.offset + 8 * block;
    for (uint32_t i = 0; i < 8; ++i) {
        for (uint32_t k = 0; k < parts<F>; ++k) {
            part(x[i], k) = apply_taps<Count, Wide>(taps.columns + offset[8 * k + i], wide_lanes,
                                                    weights + (8 * k + i) * count, count);
        }
    }
    forward_dct(x);
}

// What the vertical taps of one output block row read: the first row of the ring for each of its 8 rows, `stride` floats from one
// row of the ring to the next, and weights [8][count].
struct RowTaps {
    const float* rows[8];
    const float* weights;
    size_t stride;
    uint32_t count;
};

// Taps and DCT of one vector column, and of the next one in the second part of X: x[v].
template <int Count, class F, class X = F>
[[gnu::always_inline]] inline void vertical_block(const RowTaps& taps, size_t offset, X (&x)[8]) {
    const uint32_t count = Count ? Count : taps.count;
    for (uint32_t i = 0; i < 8; ++i) {
        for (uint32_t k = 0; k < parts<X>; ++k) {
            part(x[i], k) = apply_taps<Count, F>(taps.rows[i] + offset + 8 * F::groups * k, taps.stride,
                                                 taps.weights + i * count, count);
        }
    }
    forward_dct(x);
}

}  // namespace
}  // namespace jpegfreq
