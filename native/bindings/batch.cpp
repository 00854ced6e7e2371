#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <thread>
#include <vector>

#include "bindings.h"

namespace jpegfreq::python {

namespace {

struct Image {
    Image(nb::handle data, size_t place) : input(data), index(place) {}

    Input input;
    size_t index;  // in the caller's order
    size_t size_bytes = 0;
    Job job;
    std::unique_ptr<PlaneMemory> memory;
    int error = 0;  // errno of reading the file
    bool decoded = false;
    bool failed = false;
};

// Hands out the images largest first, so that no thread is left alone with a big one at the end.
class Queue : public JobQueue {
public:
    Queue(std::deque<Image>& images, bool keep_damage, bool stop_at_error, const Limits& limits)
        : images_(images), keep_damage_(keep_damage), stop_at_error_(stop_at_error), limits_(limits) {
        order_.resize(images.size());
        for (size_t i = 0; i < order_.size(); i++) {
            order_[i] = i;
            images[i].size_bytes = images[i].input.size();
        }
        std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) { return images[a].size_bytes > images[b].size_bytes; });
        last_look_ = std::chrono::steady_clock::now();
    }

    Job* next() override {
        while (true) {
            look_for_signals();
            const size_t place = next_.fetch_add(1, std::memory_order_relaxed);
            if (place >= order_.size() || interrupted_.load(std::memory_order_relaxed)) return nullptr;
            const size_t index = order_[place];
            if (index > first_failed_.load(std::memory_order_relaxed)) continue;  // an earlier image's error will be raised
            Image& image = images_[index];
            if (prepare(image)) return &image.job;
            finish(image);
        }
    }

    void done(Job& job) override {
        Image& image = *static_cast<Image*>(job.user);
        image.decoded = true;
        finish(image);
    }

    bool interrupted() const { return interrupted_.load(); }

private:
    bool prepare(Image& image) {
        Job& job = image.job;
        job.user = &image;
        image.error = image.input.load();
        if (image.error != 0) return false;
        job.jpeg = image.input.bytes();
        job.status = read_header(job.jpeg, job.header);
        if (job.status.ok()) job.status = allocate_planes(job.jpeg, job.header, limits_, keep_damage_, image.memory, job.output);
        return job.status.ok();
    }

    void finish(Image& image) {
        image.input.unload();
        const Status& status = image.job.status;
        image.failed = image.error != 0 || (!status.ok() && !(keep_damage_ && image.decoded && is_damage(status)));
        if (!image.failed) return;
        image.memory.reset();
        if (!stop_at_error_) return;
        size_t first = first_failed_.load();
        while (image.index < first && !first_failed_.compare_exchange_weak(first, image.index)) {
        }
    }

    // Ctrl-C ends a long batch: the calling thread asks Python ten times a second whether a signal has come.
    void look_for_signals() {
        if (std::this_thread::get_id() != caller_) return;
        const auto now = std::chrono::steady_clock::now();
        if (now - last_look_ < std::chrono::milliseconds(100)) return;
        last_look_ = now;
        nb::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() != 0) interrupted_.store(true);  // the exception stays set in this thread's state
    }

    std::deque<Image>& images_;
    std::vector<size_t> order_;
    const bool keep_damage_;
    const bool stop_at_error_;
    const Limits& limits_;
    std::atomic<size_t> next_{0};
    std::atomic<size_t> first_failed_{SIZE_MAX};
    std::atomic<bool> interrupted_{false};
    const std::thread::id caller_ = std::this_thread::get_id();
    std::chrono::steady_clock::time_point last_look_;
};

void decode(Queue& queue, const Limits& limits, size_t threads) {
    std::vector<std::thread> helpers;
    helpers.reserve(threads - 1);
    for (size_t i = 1; i < threads; i++) {
        try {
            helpers.emplace_back([&] { decode_jobs(queue, limits); });
        } catch (const std::exception&) {
            break;  // no more threads to be had: those that run do the work
        }
    }
    decode_jobs(queue, limits);
    for (std::thread& helper : helpers) helper.join();
}

nb::object exception_of(const Image& image) {
    const int64_t index = static_cast<int64_t>(image.index);
    if (image.error == 0) return to_exception(image.job.status, image.input, index);
    nb::object exception = image.input.os_error(image.error);
    exception.attr("add_note")(nb::str("image {} of the batch").format(index));
    return exception;
}

nb::list read_coefficients_batch(nb::list data, size_t threads, bool keep_damage, bool return_errors, uint64_t max_pixels) {
    const size_t count = nb::len(data);
    std::deque<Image> images;  // their addresses stay: a borrowed buffer must not move
    for (nb::handle one : data) images.emplace_back(one, images.size());
    Limits limits;
    limits.max_pixels = max_pixels;
    bool interrupted = false;
    {
        nb::gil_scoped_release release;
        Queue queue(images, keep_damage, !return_errors, limits);
        decode(queue, limits, std::max<size_t>(1, std::min(threads, count)));
        interrupted = queue.interrupted();
    }
    if (interrupted) throw nb::python_error();
    nb::list results;
    for (Image& image : images) {
        if (image.failed && !return_errors) raise(exception_of(image));
        if (image.failed) {
            results.append(exception_of(image));
            continue;
        }
        nb::object damage = image.job.status.ok() ? nb::none() : exception_of(image);
        results.append(to_python(image.job.header, image.job.output, std::move(image.memory), damage));
    }
    return results;
}

}  // namespace

void bind_batch(nb::module_& module) {
    module.def("read_coefficients_batch", &read_coefficients_batch, nb::arg("images"), nb::arg("threads"), nb::arg("keep_damage"),
               nb::arg("return_errors"), nb::arg("max_pixels"));
}

}  // namespace jpegfreq::python
