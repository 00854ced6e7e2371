// One image in several lanes: where it is alone, or among the last of a batch.
//
// Note [Split]
// A Huffman-coded stream read from a wrong bit soon falls into step with the right reading: so a window of the scan is cut into
// as many parts as there are lanes. Part 0 begins where decoding stands. The others begin anywhere, read without keeping
// anything until they have read a stretch without an error (`warming`), and then keep their blocks from an MCU on, whose
// place in the image and whose DC predictions are still unknown. Each part reads until exactly the bit where the next one
// began to keep. Where it ends an MCU at that bit, the next part was in step, for the same bits read from the same state give
// the same blocks: its blocks are moved into the planes after those of the part before it, and its predictions are added. Where
// it does not, the next part and those after it are dropped, and the next window begins there. So nothing is believed that
// was not read in order.
//
// A large window wastes less on warming and on lanes that have come to their end before others, but its blocks should stay in
// the second-level cache. So they are kept without zeros where the machine can do so fast (LaneKernels::packs), in as many bytes as
// there are; how many that will be, the window before tells. Part 0, whose place is known, writes to the planes, unless a sink
// takes rows: then the planes hold less than a window, and the sink is told of rows as they are placed.
#include <algorithm>
#include <cstring>
#include <new>

#include "dispatch.h"
#include "lanes_state.h"
#include "mcu_rows.h"

namespace jpegfreq {
namespace {

constexpr uint64_t warm_bits = 8 * 512;
constexpr uint64_t largest_part_bytes = 16384;  // of the scan; so that the kept blocks stay in the second-level cache
constexpr uint64_t smallest_part_bytes = 1024;
// For the blocks that a part of an image alone keeps; less where the copy of the scan takes most of what a thread may use.
constexpr uint64_t part_memory_bytes = 1600 * most_kept_bytes;
constexpr uint64_t part_memory_of_large_scans = 360 * most_kept_bytes;
constexpr uint64_t packed_part_bytes = 96 << 10;
constexpr uint64_t most_sparse_bits = 20;  // of a block whose second half is likely to be empty
constexpr ptrdiff_t large_scan_bytes = 1 << 20;

class NoMoreJobs final : public JobQueue {
public:
    Job* next() override { return nullptr; }
    void done(Job&) override {}
};

// Bytes that are left.
uint64_t room_of(const KeptBlocks& kept) {
    return uint64_t(reinterpret_cast<uint8_t*>(kept.masks) - reinterpret_cast<uint8_t*>(kept.values));
}

}  // namespace

// The next chunk of `mcus` MCUs, from where the lane's window stands.
void Lanes::begin_chunk(int lane, Part& part, int mcus) {
    LaneWork& w = work[lane];
    const SequentialScan& scan = w.image->scan;
    w.chunk_mcus = mcus;
    w.mcu = part.cursor.mcu;
    set_program(lane);
    memory.lanes[lane].p = begin_place(mcus * scan.blocks_per_mcu);
    if (!part.keeps) aim(lane, w.mcu / scan.mcus_wide, w.mcu % scan.mcus_wide);
}

// Looks at a full chunk and begins the next one. False: the part has come to its end.
bool Lanes::end_chunk(int lane, Part* parts, int number, uint64_t window_end) {
    LaneWork& w = work[lane];
    Part& part = parts[number];
    const SequentialScan& scan = w.image->scan;
    const Lane& state = memory.lanes[lane];
    const uint64_t bit = bit_position(lane);
    const int blocks = w.chunk_mcus * scan.blocks_per_mcu;
    const int most_mcus = chunk_blocks / scan.blocks_per_mcu;
    const bool next_keeps = parts[number + 1].state != Part::warming && parts[number + 1].begin > 0;
    const bool overshot = part.state == Part::running && next_keeps && bit > parts[number + 1].begin;
    uint32_t dc[max_components];
    std::memcpy(dc, part.cursor.dc, sizeof dc);
    KeptBlocks kept = part.kept;
    int16_t* const scratch = memory.scratch[lane];
    const bool complete = part.state == Part::warming || overshot
                              ? lane_kernels.skip_blocks(scratch, blocks, w.components, dc)
                          : part.keeps ? keep_kernels->keep_blocks(scratch, blocks, kept, w.components, dc)
                                       : lane_kernels.take_blocks(scratch, blocks, w.targets, w.components, dc);
    const bool good = complete && ((state.p - end_place) & 127) == 0 && bit <= 8 * w.segment_end;
    if (!good) clean(lane);
    if (part.state == Part::warming) {
        if (bit >= part.give_up) {
            part.state = Part::ended;
            return false;
        }
        if (!good) {
            // No bits are used where no code matches, so reading would never advance.
            part.last_error = bit + 8;
            set_position(lane, bit + 8);
        }
        if (good && bit - part.last_error >= warm_bits) {
            part.state = Part::running;
            part.begin = bit;
            part.cursor = Cursor();
            part.cursor.bit_position = bit;
        }
        begin_chunk(lane, part, most_mcus);
        return true;
    }
    if (!good || (overshot && part.single)) {
        part.state = Part::ended;
        return false;
    }
    if (overshot) {
        part.single = true;
        set_position(lane, part.cursor.bit_position);
        begin_chunk(lane, part, 1);
        return true;
    }
    part.cursor.mcu += unsigned(w.chunk_mcus);
    part.cursor.bit_position = bit;
    std::memcpy(part.cursor.dc, dc, sizeof dc);
    part.kept = kept;
    if (next_keeps && bit == parts[number + 1].begin) {
        part.state = Part::joined;
        return false;
    }
    uint64_t mcus = part.single ? 1 : uint64_t(most_mcus);
    if (part.mcu_end - part.cursor.mcu < mcus) mcus = part.mcu_end - part.cursor.mcu;
    if (part.keeps && room_of(kept) < chunk_blocks * most_kept_bytes + kept_padding) mcus = 0;
    if (mcus == 0 || (!next_keeps && bit >= window_end)) {
        part.state = Part::ended;
        return false;
    }
    begin_chunk(lane, part, int(mcus));
    return true;
}

// Moves a part's blocks into the planes after `truth`, which moves to the part's end, or the rest's.
void Lanes::place(const Rest& rest, const Part& part, Cursor& truth, RowSink* sink) {
    const SequentialScan& scan = rest.image->scan;
    const uint64_t end = truth.mcu + std::min(part.cursor.mcu, rest.mcu_end - truth.mcu);
    KeptBlocks kept = part.memory;
    LaneWork& w = work[0];
    set_program(0);
    while (truth.mcu < end) {
        const uint64_t mcu_x = truth.mcu % scan.mcus_wide, in_row = scan.mcus_wide - mcu_x;
        w.chunk_mcus = int(std::min({end - truth.mcu, in_row, uint64_t(chunk_blocks / scan.blocks_per_mcu)}));
        aim(0, truth.mcu / scan.mcus_wide, mcu_x);
        keep_kernels->give_blocks(kept, w.chunk_mcus * scan.blocks_per_mcu, w.targets, w.components, truth.dc);
        truth.mcu += unsigned(w.chunk_mcus);
        if (sink && unsigned(w.chunk_mcus) == in_row) tell_rows(*sink, rest.image->job->output, scan, truth.mcu);
    }
    truth.bit_position = part.cursor.bit_position;
    for (int i = 0; i < scan.component_count; i++) truth.dc[i] += part.cursor.dc[i];
}

// One window, from `truth` on. False: it made no progress, so the plain decoder has to take over.
bool Lanes::decode_window(const Rest& rest, Cursor& truth, RowSink* sink) {
    LaneImage& image = *rest.image;
    const SequentialScan& scan = image.scan;
    const uint64_t begin = truth.bit_position / 8;
    if (begin >= rest.segment_end) return false;
    const uint64_t left = rest.segment_end - begin, mcus_left = rest.segment_mcu_end - truth.mcu;
    // Of an early stop it is not known which byte it is at.
    const uint64_t wanted = std::min(left, left * (rest.mcu_end - truth.mcu) / mcus_left * 17 / 16);
    // Whose blocks take three quarters of a part's memory.
    uint64_t part_bytes = 8 * part_words * 3 / 4 * 1024 / kept_per_kilobyte;
    if (part_bytes > largest_part_bytes) part_bytes = largest_part_bytes;
    if (part_bytes > wanted / lane_count) part_bytes = wanted / lane_count;
    if (part_bytes < smallest_part_bytes) part_bytes = smallest_part_bytes;
    const int part_count = int(std::min<uint64_t>(lane_count, wanted / part_bytes));
    if (part_count < 2) return false;
    const uint64_t window_end = truth.bit_position + 8 * part_bytes * part_count;
    Part parts[max_lanes + 1];
    int part_of[max_lanes];
    const uint64_t before = truth.mcu;
    const int most_mcus = chunk_blocks / scan.blocks_per_mcu;
    uint64_t* words = part_memory.data();
    for (int i = 0; i < part_count; i++) {
        Part& part = parts[i];
        part_of[i] = i;
        part.state = i ? Part::warming : Part::running;
        const uint64_t bit = truth.bit_position + 8 * part_bytes * unsigned(i);
        part.last_error = bit;
        part.give_up = bit + 8 * part_bytes;
        part.cursor.bit_position = bit;
        uint64_t mcus = uint64_t(most_mcus);
        if (i == 0) {
            part.begin = bit;
            // For a sink, which takes rows, the planes hold less than a part.
            part.keeps = sink != nullptr;
            if (!part.keeps) part.cursor = truth;
            mcus = rest.mcu_end - truth.mcu;
            part.mcu_end = part.cursor.mcu + mcus;
        }
        if (part.keeps) {
            part.memory = KeptBlocks{reinterpret_cast<int16_t*>(words), words + part_words};
            words += part_words;
        }
        part.kept = part.memory;
        LaneWork& w = work[i];
        w.image = &image;
        w.segment_end = rest.segment_end;
        set_position(i, bit);
        begin_chunk(i, part, int(std::min(mcus, uint64_t(most_mcus))));
    }
    int count = part_count;
    while (count > 0) {
        const unsigned finished = lane_kernels.step(memory, count);
        for (int lane = count - 1; lane >= 0; lane--) {
            if (!(finished >> lane & 1) || end_chunk(lane, parts, part_of[lane], window_end)) continue;
            count--;
            if (lane < count) {
                move(count, lane);
                part_of[lane] = part_of[count];
            }
        }
    }
    uint64_t most = 0;
    for (int i = 0; i < part_count; i++) {
        const uint64_t kept = 8 * part_words - room_of(parts[i].kept),
                       bits = parts[i].cursor.bit_position - parts[i].begin;
        if (parts[i].keeps && bits > 0) most = std::max(most, kept * 8 * 1024 / bits);
    }
    if (most > 0) kept_per_kilobyte = most;
    work[0].image = &image;
    if (!parts[0].keeps) truth = parts[0].cursor;
    for (int i = parts[0].keeps ? 0 : 1; i < part_count && truth.mcu < rest.mcu_end; i++) {
        if (i > 0 && parts[i - 1].state != Part::joined) break;
        place(rest, parts[i], truth, sink);
    }
    return truth.mcu > before;
}

bool Lanes::decode_split(const Rest& rest, uint64_t part_bytes, RowSink* sink) {
    LaneImage& image = *rest.image;
    part_words = (lane_kernels.packs ? std::min(part_bytes, packed_part_bytes) : part_bytes) / 8;
    const size_t words =
        unsigned(sink ? lane_count : lane_count - 1) * part_words;  // part 0 keeps nothing without a sink
    part_memory.trim(words * sizeof(uint64_t) * 5 / 4 + 64);
    const bool has_memory = part_memory.reserve(words);
    Cursor truth = rest.cursor;
    // At first by the mean of what is left, then as it was in the last window.
    const uint64_t bytes_left = rest.segment_end - truth.bit_position / 8;
    const uint64_t blocks_left = (rest.segment_mcu_end - truth.mcu) * unsigned(image.scan.blocks_per_mcu);
    kept_per_kilobyte =
        1024 * (lane_kernels.packs ? 8 * blocks_left + 4 * bytes_left : 128 * blocks_left) / (bytes_left + 1) + 1;
    const bool sparse = 8 * bytes_left < most_sparse_bits * blocks_left;
    keep_kernels = sparse ? &lane_kernels.sparse_blocks : &lane_kernels.any_blocks;
    while (has_memory && truth.mcu < rest.mcu_end && decode_window(rest, truth, sink)) {}
    for (LaneWork& w : work) w.image = nullptr;
    if (!has_memory) return false;
    if (truth.mcu >= rest.mcu_end) return true;
    name_tables(image);
    return decode_interval(image.scan, image.data.bytes.data(), rest.segment_end, rest.mcu_end, truth,
                           image.job->output, sink);
}

// Restart intervals side by side, each as soon as the planes have room for its rows. Where they have room for only a few, one
// after the other in parts.
bool Lanes::decode_intervals(LaneImage& image, uint64_t part_bytes, RowSink& sink) {
    const SequentialScan& scan = image.scan;
    bool good = true;
    if (scan.held_mcus() / scan.restart_interval > few_lanes) {
        good = decode_side_by_side(image, sink);
        for (int lane = 0; lane < lane_count; lane++) {
            if (!good) clean(lane);
            work[lane].image = nullptr;
        }
    } else {
        while (good && start_segment(0, image)) good = decode_split(rest_of(0), part_bytes, &sink);
    }
    if (good) tell_rows(sink, image.job->output, scan, scan.mcu_end);
    return good;
}

bool Lanes::decode_side_by_side(LaneImage& image, RowSink& sink) {
    const SequentialScan& scan = image.scan;
    uint64_t told = 0;  // MCUs that the sink has seen
    const auto start_next = [&](int lane) {
        if (image.next_segment == image.segment_count) return false;
        const uint64_t end = (uint64_t(image.data.segments[image.next_segment].interval) + 1) * scan.restart_interval;
        return std::min(end, scan.mcu_end) <= told + scan.held_mcus() && start_segment(lane, image);
    };
    int count = 0;
    const auto tell = [&] {
        uint64_t done = scan.mcu_end;
        if (image.next_segment < image.segment_count)
            done = uint64_t(image.data.segments[image.next_segment].interval) * scan.restart_interval;
        for (int lane = 0; lane < count; lane++) done = std::min(done, work[lane].mcu);
        told = done / scan.mcus_wide * scan.mcus_wide;
        tell_rows(sink, image.job->output, scan, told);
    };
    for (tell(); true;) {
        while (count < lane_count && start_next(count)) count++;
        if (count == 0) return image.next_segment == image.segment_count;
        const unsigned finished = lane_kernels.step(memory, count);
        for (int lane = count - 1; lane >= 0; lane--) {
            if (!(finished >> lane & 1)) continue;
            if (!finish_chunk(lane)) return false;
            if (work[lane].mcu < work[lane].mcu_end) {
                start_chunk(lane);
                continue;
            }
            tell();
            if (start_next(lane)) continue;
            count--;
            if (lane < count) move(count, lane);
        }
    }
}

Lanes* new_lanes() { return kernels().lanes ? new (std::nothrow) Lanes(*kernels().lanes) : nullptr; }
void delete_lanes(Lanes* lanes) { delete lanes; }

bool decode_in_lanes(Lanes& lanes, Bytes jpeg, const Header& header, const Limits& limits, Output& output,
                     RowSink* sink) {
    Job job;
    job.jpeg = jpeg;
    job.header = header;
    job.output = output;
    LaneImage& image = lanes.images[0];
    if (!lanes.open(job, image, limits, UINT32_MAX)) return false;
    if (image.scan.restart_interval < image.scan.mcu_end && !sink) {
        NoMoreJobs queue;
        lanes.run(queue, limits, nullptr);  // releases the image
    } else {
        const bool split = image.scan.restart_interval >= image.scan.mcu_end;
        const bool large = image.data.copy_end - image.data.bytes.data() > large_scan_bytes;
        const uint64_t part_bytes = large ? part_memory_of_large_scans : part_memory_bytes;
        if (split) lanes.start_segment(0, image);
        if (!(split ? lanes.decode_split(lanes.rest_of(0), part_bytes, sink)
                    : lanes.decode_intervals(image, part_bytes, *sink)))
            job.status.code = Code::malformed;
        lanes.release(image);
        if (!sink) zero_blocks(image.scan, image.scan.mcu_end, all_mcus);
    }
    std::memcpy(output.quantization_tables, job.output.quantization_tables, sizeof output.quantization_tables);
    image.data.trim();
    return job.status.ok();
}

}  // namespace jpegfreq
