// The resample for AVX2 with FMA and F16C. Compiled with flags of its own and entered by run-time dispatch only.
#include "resample_f8_avx2.h"

namespace jpegfreq {
namespace {

using Wide = F8;
using Several = Wide;

}  // namespace
}  // namespace jpegfreq

#include "reduction_kernels.h"
#include "resample_kernels.h"

namespace jpegfreq {

const ResampleKernels resample_kernels_avx2 = {run_pass, run_staged, reduce, wide_lanes};

}  // namespace jpegfreq
