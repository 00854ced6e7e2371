#include "sequential.h"

namespace jpegfreq {
namespace {
#define VECTOR_BYTES 32
#include "sequential_kernel.h"
}  // namespace

SegmentResult decode_segment_avx2(const SequentialScan& scan, const uint8_t* bytes, uint64_t begin, uint64_t end,
                                  uint64_t mcu_begin, uint64_t mcu_end) {
    return decode_segment(scan, bytes, begin, end, mcu_begin, mcu_end);
}

}  // namespace jpegfreq
