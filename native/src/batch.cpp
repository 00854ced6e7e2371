// Many images on one thread.
#include "dispatch.h"
#include "jpegfreq.h"
#include "lanes.h"

namespace jpegfreq {

void decode_jobs(JobQueue& queue, const Limits& limits) {
    Decoder decoder;
#if defined(__x86_64__)
    if (use_avx2()) return decode_jobs_in_lanes(queue, limits, decoder);
#endif
    while (Job* job = queue.next()) {
        job->status = decoder.read_coefficients(job->jpeg, job->header, limits, job->output);
        queue.done(*job);
    }
}

}  // namespace jpegfreq
