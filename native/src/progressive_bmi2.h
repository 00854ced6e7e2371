// What the AC kernels of progressive files share where there is BMI2. Each instruction set adds its vectors.
#pragma once

#include <immintrin.h>

#include "progressive_kernels.h"

namespace jpegfreq {
namespace {

// Vectors::update(block, touched, negative, step) moves the touched coefficients by `step` away from zero; those that are zero become
// -step where `negative` has them.
template <class Vectors>
struct Bmi2AcOps {
    // Blocks are in zigzag order, as the maps are.
    static uint32_t place(uint32_t k) { return k; }

    static uint32_t count(uint64_t bits) { return uint32_t(_mm_popcnt_u64(bits)); }

    // Zeros are found by depositing the entry, whose lowest bit counts the run, into the map.
    class Zeros {
    public:
        explicit Zeros(uint64_t places) : places_(places) {}
        uint32_t pass(uint32_t entry) {
            const uint64_t marks = _pdep_u64(entry, places_);
            places_ &= ~(marks ^ (marks - 1));
            return uint32_t(_tzcnt_u64(marks));
        }

    private:
        uint64_t places_;
    };

    struct Block {
        int16_t* const block;
        const int16_t step;
        uint64_t added = 0;
        uint64_t negative = 0;

        Block(int16_t* place, int16_t size) : block(place), step(size) {}
        void add(uint32_t k, uint32_t entry) {
            added |= uint64_t(entry / refine_new & 1) << k;
            negative |= uint64_t(entry / refine_negative & 1) << k;
        }
        void take_back() {}
        void correct(uint64_t corrections, uint64_t places) {
            const uint64_t touched = _pdep_u64(corrections, places) | added;
            if (touched) Vectors::update(block, touched, negative, step);
        }
    };
};

}  // namespace
}  // namespace jpegfreq
