#include "image_queue.h"

#include <algorithm>

#include "bindings.h"
#include "helpers.h"

namespace jpegfreq::python {

BatchImages batch_images(nb::list data) {
    BatchImages images;
    for (nb::handle one : data) images.emplace_back(one, images.size());
    return images;
}

nb::object exception_of(const BatchImage& image) {
    const int64_t index = static_cast<int64_t>(image.index);
    if (image.error == 0) return to_exception(image.job.status, image.input, index);
    nb::object exception = image.input.os_error(image.error);
    exception.attr("add_note")(nb::str("image {} of the batch").format(index));
    return exception;
}

ImageQueue::ImageQueue(BatchImages& images, bool keep_damage, bool stop_at_error, const Limits& limits)
    : images_(images), keep_damage_(keep_damage), stop_at_error_(stop_at_error), limits_(limits) {
    order_.resize(images.size());
    for (size_t i = 0; i < order_.size(); i++) {
        order_[i] = i;
        images[i].size_bytes = images[i].input.size();
        size_bytes_ += images[i].size_bytes;
    }
    std::stable_sort(order_.begin(), order_.end(),
                     [&](size_t a, size_t b) { return images[a].size_bytes > images[b].size_bytes; });
    last_look_ = std::chrono::steady_clock::now();
}

Job* ImageQueue::next() {
    while (true) {
        look_for_signals();
        const size_t place = next_.fetch_add(1, std::memory_order_relaxed);
        if (place >= order_.size() || interrupted_.load(std::memory_order_relaxed)) return nullptr;
        const size_t index = order_[place];
        if (index > first_failed_.load(std::memory_order_relaxed)) continue;  // an earlier image's error will be raised
        BatchImage& image = images_[index];
        if (prepare(image)) return &image.job;
        finish(image);
    }
}

Status ImageQueue::give_planes(Job& job) {
    BatchImage& image = *static_cast<BatchImage*>(job.user);
    image.memory.reset();
    return allocate_planes(job.jpeg, job.header, limits_, keep_damage_, image.memory, job.output);
}

void ImageQueue::done(Job& job) {
    BatchImage& image = *static_cast<BatchImage*>(job.user);
    image.decoded = true;
    if (keep_damage_) image.damages.assign(job.damages.data, job.damages.data + job.damages.size);
    finish(image);
}

bool ImageQueue::run(size_t threads) {
    threads = std::max<size_t>(1, std::min(threads, images_.size()));
    threads_ = threads;
    run_on_threads(threads, [this](bool) {
        thread_decoder().decode_jobs(*this, limits_);
        all_decoded();
    });
    return !interrupted_.load();
}

bool ImageQueue::prepare(BatchImage& image) {
    Job& job = image.job;
    job.user = &image;
    image.error = image.input.load();
    if (image.error != 0) return false;
    job.jpeg = image.input.bytes();
    job.status = read_header(job.jpeg, job.header);
    if (job.status.ok()) job.status = accept(image);
    if (job.status.ok())
        job.status = allocate_planes(job.jpeg, job.header, limits_, keep_damage_, image.memory, job.output);
    return job.status.ok();
}

void ImageQueue::finish(BatchImage& image) {
    image.input.unload();
    const Status& status = image.job.status;
    image.failed = image.error != 0 || (!status.ok() && !(keep_damage_ && image.decoded && is_damage(status)));
    image.failed ? drop(image) : decoded(image);
}

void ImageQueue::conclude(BatchImage& image) {
    const Status used = use(image);
    if (used.ok()) return;
    image.job.status = used;
    image.failed = true;
    drop(image);
}

void ImageQueue::drop(BatchImage& image) {
    image.memory.reset();
    if (!stop_at_error_) return;
    size_t first = first_failed_.load();
    while (image.index < first && !first_failed_.compare_exchange_weak(first, image.index)) {}
}

// Ctrl-C ends a long batch: the calling thread asks Python ten times a second whether a signal has come.
void ImageQueue::look_for_signals() {
    if (std::this_thread::get_id() != caller_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_look_ < std::chrono::milliseconds(100)) return;
    last_look_ = now;
    nb::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() != 0) interrupted_.store(true);  // the exception stays set in this thread's state
}

}  // namespace jpegfreq::python
