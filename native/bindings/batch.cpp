#include "image_queue.h"

namespace jpegfreq::python {

namespace {

// From this many bytes of files on, coefficients are written with non-temporal stores. They take about ten times as much: the first are
// driven out of the caches before the batch is returned.
constexpr size_t streamed_bytes = 2 << 20;

class PlanesQueue : public ImageQueue {
public:
    using ImageQueue::ImageQueue;

protected:
    Status accept(BatchImage& image) override {
        image.job.output.stream = size_bytes() >= streamed_bytes;
        return {};
    }
};

nb::list read_coefficients_batch(nb::list data, size_t threads, bool keep_damage, bool return_errors,
                                 uint64_t max_pixels) {
    BatchImages images = batch_images(data);
    Limits limits;
    limits.max_pixels = max_pixels;
    bool finished = false;
    {
        nb::gil_scoped_release release;
        PlanesQueue queue(images, keep_damage, !return_errors, limits);
        finished = queue.run(threads);
    }
    if (!finished) throw nb::python_error();
    nb::list results;
    for (BatchImage& image : images) {
        if (image.failed && !return_errors) raise(exception_of(image));
        if (image.failed) {
            results.append(exception_of(image));
            continue;
        }
        const Span<const Status> damages = {image.damages.data(), image.damages.size()};
        results.append(to_python(image.job.header, image.job.output, std::move(image.memory),
                                 to_exceptions(damages, image.input, static_cast<int64_t>(image.index)), nb::none()));
    }
    return results;
}

}  // namespace

void bind_batch(nb::module_& module) {
    module.def("read_coefficients_batch", &read_coefficients_batch, nb::arg("images"), nb::arg("threads"),
               nb::arg("keep_damage"), nb::arg("return_errors"), nb::arg("max_pixels"));
}

}  // namespace jpegfreq::python
