#include <nanobind/stl/optional.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "image_queue.h"
#include "resample_arguments.h"

namespace jpegfreq::python {

namespace {

using Regions = nb::ndarray<const int64_t, nb::shape<-1, region_numbers>, nb::c_contig, nb::device::cpu>;
using Flips = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Output from this size on is written with non-temporal stores: its beginning would not stay in the caches anyway.
constexpr size_t streamed_bytes = 4 << 20;

// Images of at least so many blocks are decoded row by row where that is possible: their planes would leave the caches before
// they are resampled.
constexpr uint64_t least_blocks_by_rows = 16384;

// Note [Turns]
// Resampling large crops, a third of the time of each, writes to memory so fast that two threads together exceed what memory can
// take; decoding hardly writes to it. So at most half of the threads resample at once. If that many already do, a thread goes on
// decoding, and its image waits until the thread has decoded the next one; few may wait at a time. Images that still wait at the
// end go to whichever thread has nothing left to decode.
constexpr size_t most_waiting = 2;  // of a thread
constexpr size_t largest_waiting_bytes = 4 << 20;

Resampler& thread_resampler() {
    thread_local Resampler resampler;
    return resampler;
}

// Adds an image to its reduced components as it is decoded. From the first row to finish() nothing else may use the thread's
// resampler.
class Rows final : public RowSink {
public:
    Rows(const Header& header, const ResampleGeometry& geometry, const TensorSpec& spec)
        : header_(header), geometry_(geometry), spec_(spec) {}

    void rows(const Output& output, int component, uint32_t end) override {
        if (!begun_) status_ = thread_resampler().begin_rows(header_, output, geometry_, spec_);
        begun_ = true;
        if (status_.ok()) thread_resampler().add_rows(component, end);
    }

    Status finish(void* out) {
        return status_.ok() ? thread_resampler().finish_rows(header_, geometry_, spec_, out) : status_;
    }

private:
    const Header& header_;
    const ResampleGeometry& geometry_;
    const TensorSpec& spec_;
    bool begun_ = false;
    Status status_;
};

// Writes each image to its slot of the batch tensor. Decodes only as far down as its region reaches, and drops the coefficients
// on the thread that made them.
class TensorQueue : public ImageQueue {
public:
    TensorQueue(BatchImages& images, bool keep_damage, bool stop_at_error, const Limits& limits,
                const ResampleGeometry& geometry, const TensorSpec& spec, bool apply_orientation,
                const int64_t* regions, const uint8_t* flips, uint8_t* out, size_t slot_bytes)
        : ImageQueue(images, keep_damage, stop_at_error, limits),
          geometry_(geometry),
          spec_(spec),
          apply_orientation_(apply_orientation),
          regions_(regions),
          flips_(flips),
          out_(out),
          slot_bytes_(slot_bytes),
          geometries_(images.size()),
          rows_(images.size()),
          refused_(images.size(), 0) {}

    // Python's error where the region was refused, else None. Needs the GIL.
    nb::object region_error(const BatchImage& image) const {
        if (refused_[image.index] == 0) return nb::none();
        nb::list region;
        for (size_t i = 0; i < region_numbers; i++) region.append(regions_[region_numbers * image.index + i]);
        const PixelSize size = size_as_read(image.job.header);
        return nb::module_::import_("jpegfreq.crops").attr("_region_error")(region, size[0], size[1], image.index);
    }

protected:
    Status accept(BatchImage& image) override {
        const Header& header = image.job.header;
        Status status = check_color(header, takes_luma_only(spec_));
        if (!status.ok()) return status;
        ResampleGeometry& geometry = geometries_[image.index];
        geometry = geometry_;
        if (flips_) geometry.horizontal_flip = flips_[image.index] != 0;
        const PixelSize size = size_as_read(header);
        const int64_t whole[region_numbers] = {0, 0, size[0], size[1], 0, 0};
        set_region(geometry, regions_ ? regions_ + region_numbers * image.index : whole, size);
        if (apply_orientation_) geometry = upright(header, geometry);
        status = check_geometry(header, geometry);
        refused_[image.index] = !status.ok();
        if (!status.ok()) return status;
        image.job.output.mcu_rows = mcu_rows_needed(header, geometry);
        uint64_t blocks = 0;
        for (int c = 0; c < header.component_count; ++c) {
            const BlockRange& needed = image.job.output.needed[c] = blocks_needed(header, geometry, c);
            blocks += uint64_t(needed.row_end - needed.row_begin) * (needed.column_end - needed.column_begin);
        }
        image.job.output.needed_only = is_huffman_sequential(header.process) && header.precision == 8;
        if (blocks >= least_blocks_by_rows && comes_in_rows(header.process) &&
            Resampler::takes_rows(header, geometry, spec_)) {
            rows_[image.index] = std::make_unique<Rows>(header, geometry, spec_);
            image.job.sink = rows_[image.index].get();
            image.job.output.held_mcu_rows = mcu_rows_to_hold(header);
            image.job.output.needed_only = false;
        }
        return status;
    }

    Status use(BatchImage& image) override {
        const Job& job = image.job;
        void* const out = out_ + image.index * slot_bytes_;
        const Status status =
            job.sink ? rows_[image.index]->finish(out)
                     : thread_resampler().resample(job.header, job.output.planes, job.output.quantization_tables,
                                                   geometries_[image.index], spec_, out, job.output.needed_only);
        image.memory.reset();
        rows_[image.index].reset();
        return status;
    }

    void decoded(BatchImage& image) override {
        // The thread's resampler may already hold its rows, and large planes are not kept longer than they must.
        if (image.job.sink || image.memory->size_bytes() > largest_waiting_bytes) return conclude(image);
        std::unique_lock<std::mutex> lock(mutex_);
        const std::thread::id self = std::this_thread::get_id();
        waiting_.push_back({self, &image});
        const auto own =
            std::count_if(waiting_.begin(), waiting_.end(), [&](const Waiting& w) { return w.thread == self; });
        const bool others_turn = resampling_ >= std::max<size_t>(1, threads() / 2);
        if (!others_turn || static_cast<size_t>(own) > most_waiting) conclude_waiting(lock, false);
    }

    void all_decoded() override {
        std::unique_lock<std::mutex> lock(mutex_);
        conclude_waiting(lock, true);
    }

private:
    // An image that is decoded, but not resampled.
    struct Waiting {
        std::thread::id thread;  // that decoded it
        BatchImage* image;
    };

    // Those of the calling thread, or of all threads.
    void conclude_waiting(std::unique_lock<std::mutex>& lock, bool of_all) {
        const std::thread::id self = std::this_thread::get_id();
        resampling_++;
        while (true) {
            const auto next = std::find_if(waiting_.begin(), waiting_.end(),
                                           [&](const Waiting& w) { return of_all || w.thread == self; });
            if (next == waiting_.end()) break;
            BatchImage& image = *next->image;
            waiting_.erase(next);
            lock.unlock();
            conclude(image);
            lock.lock();
        }
        resampling_--;
    }

    PixelSize size_as_read(const Header& header) const {
        const bool turned = apply_orientation_ && is_transposed(header.orientation);
        return turned ? PixelSize{header.width, header.height} : PixelSize{header.height, header.width};
    }

    const ResampleGeometry& geometry_;
    const TensorSpec& spec_;
    const bool apply_orientation_;
    const int64_t* regions_;
    const uint8_t* flips_;
    uint8_t* out_;
    const size_t slot_bytes_;
    std::vector<ResampleGeometry> geometries_;
    std::vector<std::unique_ptr<Rows>> rows_;  // of images that are decoded row by row
    std::vector<uint8_t> refused_;
    // See Note [Turns].
    std::mutex mutex_;
    std::vector<Waiting> waiting_;
    size_t resampling_ = 0;  // threads that do
};

// Returns None, the error or the first kept damage of each image. Slots of images that failed are zero.
nb::list read_batch(nb::list data, PixelSize size, std::optional<Regions> regions, std::optional<Flips> flips,
                    bool apply_orientation, int filter, bool antialias, int chroma, ChannelNumbers channels,
                    ChannelValues scale, ChannelValues shift, bool channels_last, OutputArray<4> out, size_t threads,
                    bool keep_damage, bool return_errors, uint64_t max_pixels) {
    BatchImages images = batch_images(data);
    const size_t count = images.size();
    if (out.shape(0) != count || (regions && regions->shape(0) != count) || (flips && flips->shape(0) != count)) {
        throw nb::value_error("the output, regions and flips must have one entry per image");
    }
    check_device(out.device_type());
    TensorSpec spec = tensor_spec(channels, scale, shift, channels_last, out.dtype(), out.shape(channels_last ? 3 : 1));
    const ResampleGeometry geometry = resample_geometry(size, out.shape(channels_last ? 1 : 2),
                                                        out.shape(channels_last ? 2 : 3), filter, antialias, chroma);
    const size_t slot_bytes = out.shape(1) * out.shape(2) * out.shape(3) * out.itemsize();
    spec.stream = count * slot_bytes >= streamed_bytes;
    uint8_t* slots = static_cast<uint8_t*>(out.data());
    Limits limits;
    limits.max_pixels = max_pixels;
    TensorQueue queue(images, keep_damage, !return_errors, limits, geometry, spec, apply_orientation,
                      regions ? regions->data() : nullptr, flips ? flips->data() : nullptr, slots, slot_bytes);
    bool finished = false;
    {
        nb::gil_scoped_release release;
        finished = queue.run(threads);
        for (const BatchImage& image : images) {
            if (image.failed) std::memset(slots + image.index * slot_bytes, 0, slot_bytes);
        }
    }
    if (!finished) throw nb::python_error();
    nb::list results;
    for (const BatchImage& image : images) {
        if (!image.failed && image.job.status.ok()) {
            results.append(nb::none());
            continue;
        }
        nb::object error = queue.region_error(image);
        if (error.is_none()) error = exception_of(image);
        if (image.failed && !return_errors) raise(error);
        results.append(error);
    }
    return results;
}

}  // namespace

void bind_read_batch(nb::module_& module) {
    module.def("read_batch", &read_batch, nb::arg("images"), nb::arg("size"), nb::arg("regions").none(),
               nb::arg("flips").none(), nb::arg("apply_orientation"), nb::arg("filter"), nb::arg("antialias"),
               nb::arg("chroma"), nb::arg("channels"), nb::arg("scale"), nb::arg("shift"), nb::arg("channels_last"),
               nb::arg("out").noconvert(), nb::arg("threads"), nb::arg("keep_damage"), nb::arg("return_errors"),
               nb::arg("max_pixels"));
}

}  // namespace jpegfreq::python
