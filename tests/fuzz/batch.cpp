// Decoder::decode_jobs on several images cut from the input: each comes out as it does alone.
#include <algorithm>
#include <cstring>

#include "harness.h"

using namespace jpegfreq;

namespace {

// Some rows and columns of each component.
fuzz::NeededPlanes draw_needed(const Header& header, uint64_t random) {
    BlockRange needed[max_components];
    for (int c = 0; c < header.component_count; c++) {
        const Component& component = header.components[c];
        BlockRange& range = needed[c];
        range.row_begin = uint32_t(random % component.blocks_high);
        range.row_end = range.row_begin + 1 + uint32_t((random >> 16) % (component.blocks_high - range.row_begin));
        range.column_begin = uint32_t((random >> 32) % component.blocks_wide);
        range.column_end =
            range.column_begin + 1 + uint32_t((random >> 48) % (component.blocks_wide - range.column_begin));
    }
    return fuzz::NeededPlanes(header, needed);
}

struct Image {
    Image(const uint8_t* data, size_t size) : exact(data, size) {}

    fuzz::ExactBytes exact;
    Job job;
    std::unique_ptr<fuzz::Planes> planes;
    std::unique_ptr<fuzz::NeededPlanes> needed;
    std::unique_ptr<fuzz::Planes> given;
    int times_done = 0;
};

class Queue : public JobQueue {
public:
    explicit Queue(std::vector<std::unique_ptr<Image>>& images) : images_(images) {}

    Job* next() override { return given_ < images_.size() ? &images_[given_++]->job : nullptr; }

    void done(Job& job) override { static_cast<Image*>(job.user)->times_done++; }

    Status give_planes(Job& job) override {
        Image& image = *static_cast<Image*>(job.user);
        fuzz::require(!job.output.needed_only && !image.given, "whole planes are asked for once");
        image.given.reset(new fuzz::Planes(job.header, 0xA5));
        std::copy_n(image.given->output.planes, max_components, job.output.planes);
        return Status();
    }

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
        image->needed.reset(new fuzz::NeededPlanes(draw_needed(job.header, fuzz::hash(job.jpeg))));
        job.output = image->needed->output;
        job.output.stream = size % 2 != 0;
    }

    Queue again(images);
    decoder.decode_jobs(again, limits);
    for (std::unique_ptr<Image>& image : images) {
        Job& job = image->job;
        fuzz::require(image->times_done == 2, "each job is done once");
        const bool whole = !job.output.needed_only;
        fuzz::require(whole == (image->given != nullptr), "planes of the needed blocks, or whole ones");
        fuzz::Planes alone(job.header, 0x00);
        Output output = alone.output;
        std::copy_n(job.output.needed, max_components, output.needed);
        const Status status = decoder.read_coefficients(job.jpeg, job.header, limits, output);
        fuzz::require_equal(job.status, status, "the Status it has alone");
        fuzz::require(whole || image->needed->equals(job.header, alone.output), "the needed blocks it has alone");
    }
    return 0;
}
