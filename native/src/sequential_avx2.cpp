#include "sequential.h"

namespace jpegfreq {
namespace {
#define VECTOR_BYTES 32
#include "sequential_kernel.h"
}  // namespace

Stop decode_segment_avx2(const SequentialScan& scan, const uint8_t* bytes, uint64_t end, uint64_t mcu_end,
                         Cursor& cursor) {
    return decode_mcus(scan, bytes, end, mcu_end, cursor);
}

}  // namespace jpegfreq
