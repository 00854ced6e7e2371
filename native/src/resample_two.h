// Two vectors side by side that take the same operations. The steps of one DCT wait for each other's results, and a processor looks
// ahead only so far; two that run in turn wait half as long. That takes registers for both, so it pays with 32 of them.
// Includes nothing, like resample_kernels.h.
#pragma once

namespace jpegfreq {
namespace {

template <class F>
struct Two {
    F first, second;

    static Two broadcast(float value) { return {F::broadcast(value), F::broadcast(value)}; }
};

template <class F>
inline Two<F> operator+(Two<F> a, Two<F> b) {
    return {a.first + b.first, a.second + b.second};
}
template <class F>
inline Two<F> operator-(Two<F> a, Two<F> b) {
    return {a.first - b.first, a.second - b.second};
}
template <class F>
inline Two<F> operator*(Two<F> a, Two<F> b) {
    return {a.first * b.first, a.second * b.second};
}
template <class F>
inline Two<F> multiply_add(Two<F> a, Two<F> b, Two<F> c) {
    return {multiply_add(a.first, b.first, c.first), multiply_add(a.second, b.second, c.second)};
}
template <class F>
inline Two<F> multiply_subtract(Two<F> a, Two<F> b, Two<F> c) {
    return {multiply_subtract(a.first, b.first, c.first), multiply_subtract(a.second, b.second, c.second)};
}
template <class F>
inline Two<F> negative_multiply_add(Two<F> a, Two<F> b, Two<F> c) {
    return {negative_multiply_add(a.first, b.first, c.first), negative_multiply_add(a.second, b.second, c.second)};
}

// How many vectors F holds, and one of them.
template <class F>
constexpr unsigned parts = 1;
template <class F>
constexpr unsigned parts<Two<F>> = 2;

template <class F>
[[gnu::always_inline]] inline F& part(F& x, unsigned) {
    return x;
}
template <class F>
[[gnu::always_inline]] inline F& part(Two<F>& x, unsigned number) {
    return number == 0 ? x.first : x.second;
}

template <class F>
[[gnu::always_inline]] inline void transpose(Two<F> (&x)[8]) {
    for (unsigned k = 0; k < 2; ++k) {
        F one[8];
        for (int i = 0; i < 8; ++i) one[i] = part(x[i], k);
        transpose(one);
        for (int i = 0; i < 8; ++i) part(x[i], k) = one[i];
    }
}

}  // namespace
}  // namespace jpegfreq
