#include "stuffing.h"

#include "dispatch.h"

namespace jpegfreq {

bool write_stuffed(Bytes data, JpegSink& sink) {
    const CopyToFf copy_to_ff = kernels().copy_to_ff;
    const uint8_t* in = data.data;
    const uint8_t* const end = in + data.size;
    // Every byte may need a stuffed one, and copying runs ahead by 32 bytes.
    uint8_t* const start = sink.room(2 * data.size + 32);
    if (!start) return false;
    uint8_t* out = start;
    while (true) {
        const size_t run = copy_to_ff(in, end, out);
        in += run;
        out += run;
        if (in == end) break;
        in++;
        *out++ = 0xFF;
        *out++ = 0;
    }
    sink.advance(size_t(out - start));
    return true;
}

}  // namespace jpegfreq
