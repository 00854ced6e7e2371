// Images of a batch that the lanes do not read.
#include "dispatch.h"
#include "jpegfreq.h"

namespace jpegfreq {

void decode_alone(Job& job, const Limits& limits, Decoder& decoder, JobQueue& queue) {
    job.damages = {};
    if (job.sink && decoder.read_rows(job.jpeg, job.header, limits, job.output, *job.sink)) {
        job.status = Status();
        return;
    }
    if (job.sink || job.output.needed_only) {
        job.sink = nullptr;
        job.output.held_mcu_rows = 0;
        job.output.needed_only = false;
        job.status = queue.give_planes(job);
        if (!job.status.ok()) return;
    }
    job.status = decoder.read_coefficients(job.jpeg, job.header, limits, job.output);
    job.damages = decoder.damages();
}

void decode_jobs_alone(JobQueue& queue, const Limits& limits, Decoder& decoder) {
    while (Job* job = queue.next()) {
        decode_alone(*job, limits, decoder, queue);
        queue.done(*job);
    }
}

}  // namespace jpegfreq
