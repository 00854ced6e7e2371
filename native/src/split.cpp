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
#include <algorithm>
#include <cstring>
#include <new>

#include "dispatch.h"
#include "lanes_state.h"
#include "mcu_rows.h"

namespace jpegfreq {
namespace {

constexpr uint64_t warm_bits = 8 * 512;
constexpr uint64_t largest_part_bytes = 16384;  // so that the kept blocks stay in the second-level cache
constexpr uint64_t smallest_part_bytes = 1024;
// Blocks that a part of an image alone can keep; fewer where the copy of the scan takes most of what a thread may use.
constexpr uint64_t part_capacity = 1600;
constexpr uint64_t part_capacity_of_large_scans = 400;
constexpr ptrdiff_t large_scan_bytes = 1 << 20;

class NoMoreJobs final : public JobQueue {
public:
    Job* next() override { return nullptr; }
    void done(Job&) override {}
};

}  // namespace

// The next chunk of `mcus` MCUs, from where the lane's window stands.
void Lanes::begin_chunk(int lane, Part& part, int mcus) {
    LaneWork& w = work[lane];
    const SequentialScan& scan = w.image->scan;
    const int blocks = mcus * scan.blocks_per_mcu;
    w.chunk_mcus = mcus;
    w.mcu = part.cursor.mcu;
    set_program(lane);
    memory.lanes[lane].p = begin_place(blocks);
    if (part.state != Part::warming && !part.blocks) return aim(lane, w.mcu / scan.mcus_wide, w.mcu % scan.mcus_wide);
    int16_t* target = part.blocks + part.cursor.mcu * unsigned(scan.blocks_per_mcu) * 64;
    for (int i = 0; i < blocks; i++) w.targets[i] = part.state == Part::warming ? spare : target + 64 * i;
}

// Looks at a full chunk and begins the next one. False: the part has come to its end.
bool Lanes::end_chunk(int lane, Part* parts, int number, uint64_t window_end) {
    LaneWork& w = work[lane];
    Part& part = parts[number];
    const LaneImage& image = *w.image;
    const SequentialScan& scan = image.scan;
    const Lane& state = memory.lanes[lane];
    const uint64_t bit = bit_position(lane);
    const int blocks = w.chunk_mcus * scan.blocks_per_mcu;
    const int most_mcus = chunk_blocks / scan.blocks_per_mcu;
    const bool next_keeps = parts[number + 1].state != Part::warming && parts[number + 1].begin > 0;
    const bool overshot = part.state == Part::running && next_keeps && bit > parts[number + 1].begin;
    if (overshot)
        for (int i = 0; i < blocks; i++) w.targets[i] = spare;
    uint32_t dc[max_components];
    std::memcpy(dc, part.cursor.dc, sizeof dc);
    const bool good = lane_kernels.take_blocks(memory.scratch[lane], blocks, w.targets, w.components, dc) &&
                      ((state.p - end_place) & 127) == 0 && bit <= 8 * w.segment_end;
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
    if (next_keeps && bit == parts[number + 1].begin) {
        part.state = Part::joined;
        return false;
    }
    uint64_t mcus = part.single ? 1 : uint64_t(most_mcus);
    if (part.mcu_end - part.cursor.mcu < mcus) mcus = part.mcu_end - part.cursor.mcu;
    if (mcus == 0 || (!next_keeps && bit >= window_end)) {
        part.state = Part::ended;
        return false;
    }
    begin_chunk(lane, part, int(mcus));
    return true;
}

// Moves a part's blocks into the planes after `truth`, which moves to the part's end, or `mcu_end`.
void Lanes::place(const LaneImage& image, const Part& part, uint64_t mcu_end, Cursor& truth) {
    const SequentialScan& scan = image.scan;
    const uint64_t left = mcu_end - truth.mcu;
    const uint64_t mcus = part.cursor.mcu < left ? part.cursor.mcu : left;
    const int16_t* from = part.blocks;
    uint64_t mcu_y = truth.mcu / scan.mcus_wide, mcu_x = truth.mcu % scan.mcus_wide;
    for (uint64_t i = 0; i < mcus; i++) {
        for (int b = 0; b < scan.blocks_per_mcu; b++, from += 64) {
            const int component = scan.blocks[b].component;
            const auto& plane = scan.components[component];
            const uint64_t row = mcu_y * plane.mcu_height + scan.blocks[b].y;
            const uint64_t column = mcu_x * plane.mcu_width + scan.blocks[b].x;
            const BlockRange& needed = plane.needed;
            if (row < needed.row_begin || row >= needed.row_end) continue;
            if (column < needed.column_begin || column >= needed.column_end) continue;
            int16_t* target = plane.plane + (row % plane.held * plane.row_blocks + column) * 64;
            __builtin_prefetch(target + 4 * 64, 1);
            __builtin_prefetch(target + 4 * 64 + 32, 1);
            std::memcpy(target, from, 128);
            target[0] = int16_t(uint32_t(int32_t(from[0])) + truth.dc[component]);
        }
        if (++mcu_x == scan.mcus_wide) {
            mcu_x = 0;
            mcu_y++;
        }
    }
    truth.mcu += mcus;
    truth.bit_position = part.cursor.bit_position;
    for (int i = 0; i < scan.component_count; i++) truth.dc[i] += part.cursor.dc[i];
}

// One window, from where the rest's cursor stands. False: it made no progress, so the plain decoder has to take over.
bool Lanes::decode_window(const Rest& rest, Cursor& truth) {
    LaneImage& image = *rest.image;
    const SequentialScan& scan = image.scan;
    const uint64_t begin = truth.bit_position / 8;
    if (begin >= rest.segment_end) return false;
    // As many bytes as the blocks kept take at the mean of what is left, with a quarter to spare.
    const uint64_t left = rest.segment_end - begin, mcus_left = rest.segment_mcu_end - truth.mcu;
    // Of an early stop it is not known which byte it is at.
    const uint64_t wanted = std::min(left, left * (rest.mcu_end - truth.mcu) / mcus_left * 17 / 16);
    uint64_t part_bytes = left * capacity / (mcus_left * unsigned(scan.blocks_per_mcu)) * 3 / 4;
    if (part_bytes > largest_part_bytes) part_bytes = largest_part_bytes;
    if (part_bytes > wanted / lane_count) part_bytes = wanted / lane_count;
    if (part_bytes < smallest_part_bytes) part_bytes = smallest_part_bytes;
    const int part_count = int(std::min<uint64_t>(lane_count, wanted / part_bytes));
    if (part_count < 2) return false;
    const uint64_t window_end = truth.bit_position + 8 * part_bytes * part_count;
    Part parts[max_lanes + 1];
    int part_of[max_lanes];
    const uint64_t before = truth.mcu;
    // Beyond `limit` the planes would lose a row of MCUs that is not complete.
    const uint64_t held = before / scan.mcus_wide * scan.mcus_wide + scan.held_mcus;
    const uint64_t limit = held < rest.mcu_end ? held : rest.mcu_end;
    const int most_mcus = chunk_blocks / scan.blocks_per_mcu;
    for (int i = 0; i < part_count; i++) {
        Part& part = parts[i];
        part_of[i] = i;
        part.state = i ? Part::warming : Part::running;
        const uint64_t bit = truth.bit_position + 8 * part_bytes * unsigned(i);
        part.last_error = bit;
        part.give_up = bit + 8 * part_bytes;
        if (i == 0) part.cursor = truth;
        part.mcu_end = i ? capacity / unsigned(scan.blocks_per_mcu) : limit;
        if (i > 0) part.blocks = part_blocks.data() + unsigned(i - 1) * capacity * 64;
        LaneWork& w = work[i];
        w.image = &image;
        w.segment_end = rest.segment_end;
        set_position(i, bit);
        const uint64_t room = limit - truth.mcu;
        begin_chunk(i, part, i == 0 && room < uint64_t(most_mcus) ? int(room) : most_mcus);
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
    truth = parts[0].cursor;
    for (int i = 1; i < part_count && parts[i - 1].state == Part::joined && truth.mcu < limit; i++) {
        if (limit < rest.mcu_end && parts[i].cursor.mcu > limit - truth.mcu) break;
        place(image, parts[i], limit, truth);
    }
    return truth.mcu > before;
}

bool Lanes::decode_split(const Rest& rest, uint64_t most_blocks, RowSink* sink) {
    LaneImage& image = *rest.image;
    capacity = most_blocks;
    const size_t kept = (lane_count - 1) * capacity * 64;
    part_blocks.trim(kept * sizeof(int16_t) * 5 / 4 + 64);
    if (!part_blocks.reserve(kept)) return false;
    Cursor truth = rest.cursor;
    while (truth.mcu < rest.mcu_end && decode_window(rest, truth)) {
        if (sink) tell_rows(*sink, image.job->output, image.scan, truth.mcu);
    }
    for (LaneWork& w : work) w.image = nullptr;
    if (truth.mcu >= rest.mcu_end) return true;
    name_tables(image);
    return decode_interval(image.scan, image.data.bytes.data(), rest.segment_end, rest.mcu_end, truth,
                           image.job->output, sink);
}

// Restart intervals side by side, each as soon as the planes have room for its rows. Where they have room for only a few, one
// after the other in parts.
bool Lanes::decode_intervals(LaneImage& image, uint64_t most_blocks, RowSink& sink) {
    const SequentialScan& scan = image.scan;
    bool good = true;
    if (scan.held_mcus / scan.restart_interval > few_lanes) {
        good = decode_side_by_side(image, sink);
        for (int lane = 0; lane < lane_count; lane++) {
            if (!good) clean(lane);
            work[lane].image = nullptr;
        }
    } else {
        while (good && start_segment(0, image)) good = decode_split(rest_of(0), most_blocks, &sink);
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
        return std::min(end, scan.mcu_end) <= told + scan.held_mcus && start_segment(lane, image);
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
        const uint64_t capacity = large ? part_capacity_of_large_scans : part_capacity;
        if (split) lanes.start_segment(0, image);
        if (!(split ? lanes.decode_split(lanes.rest_of(0), capacity, sink)
                    : lanes.decode_intervals(image, capacity, *sink)))
            job.status.code = Code::malformed;
        lanes.release(image);
        if (!sink) zero_blocks(image.scan, image.scan.mcu_end, all_mcus);
    }
    std::memcpy(output.quantization_tables, job.output.quantization_tables, sizeof output.quantization_tables);
    image.data.trim();
    return job.status.ok();
}

}  // namespace jpegfreq
