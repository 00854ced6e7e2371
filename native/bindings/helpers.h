// Threads that help the calling thread with one job.
#pragma once

#include <cstddef>
#include <functional>

namespace jpegfreq::python {

// Calls `work` on the calling thread and on `threads` - 1 others at the same time, and returns when all have ended. There may
// be fewer others where the system gives no more. `work` is told whether it is on the calling thread, and must not throw.
void run_on_threads(size_t threads, const std::function<void(bool is_caller)>& work);

}  // namespace jpegfreq::python
