// Stands in until the decoder is here: every function says so.
#include "jpegfreq.h"

namespace jpegfreq {

#define WEAK __attribute__((weak))

struct Decoder::Scratch {};
WEAK Decoder::Decoder() : scratch_(nullptr) {}
WEAK Decoder::~Decoder() {}
WEAK Status Decoder::read_coefficients(Bytes, const Header& header, const Limits&, Output&) {
    return {Code::unsupported, "SOF", "decoding is not built yet", "", header.frame_offset_bytes, 0};
}
WEAK void decode_jobs(JobQueue& queue, const Limits& limits) {
    Decoder decoder;
    while (Job* job = queue.next()) {
        job->status = decoder.read_coefficients(job->jpeg, job->header, limits, job->output);
        queue.done(*job);
    }
}

}  // namespace jpegfreq
