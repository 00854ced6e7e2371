#include "dispatch.h"

#include <cstdlib>
#include <cstring>

namespace jpegfreq {

namespace {

constexpr Kernels generic = {"generic",
                             copy_to_ff_generic,
                             decode_segment_generic,
                             &ac_kernels_generic,
                             &lane_kernels_generic,
                             &resample_kernels_generic,
                             split_frequencies_generic,
                             &write_kernels_generic};

// One stream at a time, which is what the tests compare the lanes with.
constexpr Kernels plain = {"plain", copy_to_ff_generic,        decode_segment_generic,    &ac_kernels_generic,
                           nullptr, &resample_kernels_generic, split_frequencies_generic, &write_kernels_generic};

#if defined(__x86_64__) && defined(__GNUC__)

constexpr Kernels avx2 = {"avx2",
                          copy_to_ff_avx2,
                          decode_segment_avx2,
                          &ac_kernels_avx2,
                          &lane_kernels_avx2,
                          &resample_kernels_avx2,
                          split_frequencies_avx2,
                          &write_kernels_avx2};

// As avx2, but for the resample, the lanes and the AC scans of progressive files.
constexpr Kernels avx512 = {"avx512",
                            copy_to_ff_avx2,
                            decode_segment_avx2,
                            &ac_kernels_avx512,
                            &lane_kernels_avx512,
                            &resample_kernels_avx512,
                            split_frequencies_avx2,
                            &write_kernels_avx2};

// All that CMakeLists.txt compiles the *_avx2.cpp files for, except F16C and LZCNT, which every machine with the others has.
bool has_avx2() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("fma");
}

// All that the *_avx512.cpp files are compiled for beyond that. The machines that have all but VBMI2, those before Ice Lake, lower
// their clock for vectors of 64 bytes, at the cost of all other code: so no files are compiled for them.
bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi2");
}

#endif

#if defined(__aarch64__)

constexpr Kernels neon = {"neon",
                          copy_to_ff_generic,
                          decode_segment_generic,
                          &ac_kernels_generic,
                          &lane_kernels_generic,
                          &resample_kernels_neon,
                          split_frequencies_generic,
                          &write_kernels_generic};

#endif

const Kernels& choose() {
    const char* wish = std::getenv("JPEGFREQ_INSTRUCTION_SET");
    const auto wished = [&](const char* name) { return wish && std::strcmp(wish, name) == 0; };
    if (wished("generic")) return generic;
    if (wished("plain")) return plain;
#if defined(__x86_64__) && defined(__GNUC__)
    if (has_avx512() && !wished("avx2")) return avx512;
    if (has_avx2()) return avx2;
#elif defined(__aarch64__)
    return neon;
#endif
    return generic;
}

}  // namespace

const Kernels& kernels() {
    static const Kernels& chosen = choose();
    return chosen;
}

const char* instruction_set() { return kernels().instruction_set; }

}  // namespace jpegfreq
