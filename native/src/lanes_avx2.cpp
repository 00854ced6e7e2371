// The lanes with BMI2 and AVX2.
#include "lane_step_bmi2.h"

namespace jpegfreq {
namespace {

struct VectorOps : Bmi2Ops<false>, InOrderOps<VectorOps> {
    typedef __m256i Vector;

    static Vector with_first(Vector vector, int16_t value) { return _mm256_insert_epi16(vector, value, 0); }

    template <bool stream>
    static void store(Vector* to, Vector vector) {
        if (stream) {
            _mm256_stream_si256(to, vector);
        } else {
            _mm256_storeu_si256(to, vector);
        }
    }
};

}  // namespace

const LaneKernels lane_kernels_avx2 = {4,
                                       step<VectorOps>,
                                       take_blocks<VectorOps, false>,
                                       take_blocks<VectorOps, true>,
                                       skip_blocks<VectorOps>,
                                       {keep_blocks<VectorOps, false>, give_blocks<VectorOps, false>},
                                       {keep_blocks<VectorOps, false>, give_blocks<VectorOps, false>},
                                       false,
                                       finish_streaming};

}  // namespace jpegfreq
