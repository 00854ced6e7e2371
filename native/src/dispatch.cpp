#include "dispatch.h"

#include <cstdlib>
#include <cstring>

#include "jpegfreq.h"

namespace jpegfreq {

static bool detect_avx2() {
    const char* wish = std::getenv("JPEGFREQ_INSTRUCTION_SET");
    if (wish && std::strcmp(wish, "generic") == 0) return false;
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("fma");
#else
    return false;
#endif
}

bool use_avx2() {
    static const bool chosen = detect_avx2();
    return chosen;
}

const char* instruction_set() { return use_avx2() ? "avx2" : "generic"; }

}  // namespace jpegfreq
