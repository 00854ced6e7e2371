// The images of a batch, handed to the threads that decode them: what every batch call does alike.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <thread>
#include <vector>

#include "bindings.h"

namespace jpegfreq::python {

struct BatchImage {
    BatchImage(nb::handle data, size_t place) : input(data, static_cast<int64_t>(place)), index(place) {}

    Input input;
    size_t index;  // in the caller's order
    size_t size_bytes = 0;
    Job job;
    std::unique_ptr<PlaneMemory> memory;
    std::vector<Status> damages;  // where damage is kept
    int error = 0;                // errno of reading the file
    bool decoded = false;
    bool failed = false;
};

using BatchImages = std::deque<BatchImage>;  // their addresses stay: a borrowed buffer must not move

BatchImages batch_images(nb::list data);

// The error, or the kept damage, of an image.
nb::object exception_of(const BatchImage& image);

// Hands out the images largest first, so that no thread is left alone with a big one at the end.
class ImageQueue : public JobQueue {
public:
    ImageQueue(BatchImages& images, bool keep_damage, bool stop_at_error, const Limits& limits);

    Job* next() final;
    Status give_planes(Job& job) final;
    void done(Job& job) final;

    // Decodes everything, on the calling thread and `threads` - 1 others. The GIL must not be held. Returns false where a
    // signal ended the batch: Python's exception is set.
    bool run(size_t threads);

protected:
    // What becomes of an image, on the thread that decodes it. Both may refuse it by a Status that is not ok.
    virtual Status accept(BatchImage&) { return {}; }  // its header is read, its planes are not yet allocated
    virtual Status use(BatchImage&) { return {}; }     // it is decoded, as far as it goes with kept damage

    // An image is decoded, or a thread has nothing left to decode. Every image has to be concluded by one of these calls.
    virtual void decoded(BatchImage& image) { conclude(image); }
    virtual void all_decoded() {}
    void conclude(BatchImage& image);  // uses it

    size_t threads() const { return threads_; }  // that run() uses

    size_t size_bytes() const { return size_bytes_; }  // of all images

private:
    bool prepare(BatchImage& image);
    void finish(BatchImage& image);
    void drop(BatchImage& image);  // it failed
    void look_for_signals();

    BatchImages& images_;
    std::vector<size_t> order_;
    size_t size_bytes_ = 0;
    size_t threads_ = 1;
    const bool keep_damage_;
    const bool stop_at_error_;
    const Limits& limits_;
    std::atomic<size_t> next_{0};
    std::atomic<size_t> first_failed_{SIZE_MAX};
    std::atomic<bool> interrupted_{false};
    const std::thread::id caller_ = std::this_thread::get_id();
    std::chrono::steady_clock::time_point last_look_;
};

}  // namespace jpegfreq::python
