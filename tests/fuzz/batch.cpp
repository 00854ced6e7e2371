// Decoder::decode_jobs on several images cut from the input: each comes out as it does alone.
#include <algorithm>
#include <cstring>

#include "harness.h"

using namespace jpegfreq;

namespace {

struct Image {
    Image(const uint8_t* data, size_t size) : exact(data, size) {}

    fuzz::ExactBytes exact;
    Job job;
    std::unique_ptr<fuzz::Planes> planes;
    int times_done = 0;
};

class Queue : public JobQueue {
public:
    explicit Queue(std::vector<std::unique_ptr<Image>>& images) : images_(images) {}

    Job* next() override { return given_ < images_.size() ? &images_[given_++]->job : nullptr; }

    void done(Job& job) override { static_cast<Image*>(job.user)->times_done++; }

private:
    std::vector<std::unique_ptr<Image>>& images_;
    size_t given_ = 0;
};

// One image at each SOI that a marker follows and, so that one file alone makes a batch, its first half. In one run of four
// the whole input joins them: then three of the lanes decode the same file, which costs more than it shows.
std::vector<std::unique_ptr<Image>> cut(const uint8_t* data, size_t size) {
    constexpr size_t most_images = 4;
    std::vector<size_t> starts = {0};
    for (size_t i = 1; i + 2 < size && starts.size() < most_images; i++)
        if (data[i] == 0xFF && data[i + 1] == 0xD8 && data[i + 2] == 0xFF) starts.push_back(i);
    std::vector<std::unique_ptr<Image>> images;
    for (size_t i = 0; i < starts.size(); i++) {
        const size_t end = i + 1 < starts.size() ? starts[i + 1] : size;
        images.emplace_back(new Image(data + starts[i], end - starts[i]));
    }
    images.emplace_back(new Image(data, size / 2));
    if (size % 4 == 0) images.emplace_back(new Image(data, size));
    return images;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::vector<std::unique_ptr<Image>> images = cut(data, size);
    images.erase(std::remove_if(images.begin(), images.end(),
                                [](const std::unique_ptr<Image>& image) {
                                    Job& job = image->job;
                                    job.jpeg = image->exact.bytes();
                                    return !fuzz::read_promise(job.jpeg, job.header).ok();
                                }),
                 images.end());
    for (std::unique_ptr<Image>& image : images) {
        image->planes.reset(new fuzz::Planes(image->job.header, 0xA5));
        image->job.output = image->planes->output;
        image->job.output.stream = size % 2 != 0;
        image->job.user = image.get();
    }
    Limits limits;
    limits.max_pixels = fuzz::max_pixels;
    Queue queue(images);
    static Decoder decoder;
    decoder.decode_jobs(queue, limits);

    for (std::unique_ptr<Image>& image : images) {
        Job& job = image->job;
        fuzz::require(image->times_done == 1, "each job is done once");
        std::memcpy(image->planes->output.quantization_tables, job.output.quantization_tables,
                    sizeof job.output.quantization_tables);
        fuzz::note(*image->planes);
        fuzz::Planes alone(job.header, 0x00);
        const Status status = decoder.read_coefficients(job.jpeg, job.header, limits, alone.output);
        fuzz::require_equal(job.status, status, "the Status it has alone");
        fuzz::require(alone == *image->planes, "the coefficients it has alone");
    }
    return 0;
}
