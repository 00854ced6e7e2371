// Many images on one thread.
#include "jpegfreq.h"

namespace jpegfreq {

void decode_jobs(JobQueue& queue, const Limits& limits) {
    Decoder decoder;
    while (Job* job = queue.next()) {
        job->status = decoder.read_coefficients(job->jpeg, job->header, limits, job->output);
        queue.done(*job);
    }
}

}  // namespace jpegfreq
