// Feeds the lanes: which image, which restart segment, which chunk. The loop itself is lane_kernels.h.
#include <algorithm>
#include <cstring>
#include <new>

#include "dispatch.h"
#include "lanes_state.h"
#include "needed_intervals.h"

namespace jpegfreq {

// Larger scans are decoded alone, so that one copy of the data exists at a time instead of one per lane.
static constexpr uint64_t largest_scan_bytes = 1 << 20;

// For a part's blocks. All parts together take about as much memory as the copies of the scans that are already decoded.
static constexpr uint64_t rest_part_bytes = 800 * most_kept_bytes;

Lanes::Lanes(const LaneKernels& kernels) : lane_kernels(kernels), lane_count(kernels.lanes) {
    build_slots(memory.slot_of);
    build_constant_tables(memory.tables);
    for (int i = 0; i < table_slots; i++)
        slots[i].entries = memory.tables + constant_tables * lane_entries + i * slot_entries;
    for (int lane = 0; lane < lane_count; lane++) {
        clean(lane);
        for (int state = 0; state < sub_states; state++)
            for (int place = 0; place < lane_states; place++)
                memory.program[lane][state * lane_states + place] =
                    memory.tables + (state > 0 && state < first_level_state ? state : no_code_table) * lane_entries;
        for (int at = end_place >> 7; at < lane_states; at++)
            memory.program[lane][at] = memory.tables + end_table * lane_entries;
    }
}

TableSlot* Lanes::table(const HuffmanSpec& spec, bool is_dc) {
    TableSlot* oldest = nullptr;
    clock++;
    for (TableSlot& slot : slots) {
        if (slot.built && slot.table.is_dc == is_dc && same_codes(slot.table.spec, spec)) {
            slot.last_use = clock;
            slot.users++;
            return &slot;
        }
        if (slot.users == 0 && (!oldest || slot.last_use < oldest->last_use)) oldest = &slot;
    }
    // As many slots as all images can hold, so one is free.
    build_lane_table(spec, is_dc, oldest->table, oldest->entries);
    oldest->built = true;
    oldest->last_use = clock;
    oldest->users = 1;
    return oldest;
}

bool Lanes::open(Job& job, LaneImage& image, const Limits& limits, uint64_t most_bytes) {
    const Header& header = job.header;
    if (!is_huffman_sequential(header.process) || header.precision != 8) return false;
    if (uint64_t(header.height) * header.width > limits.max_pixels) return false;
    MarkerReader reader(job.jpeg);
    Header frame;
    Scan parsed;
    bool found = false;
    if (!reader.read_frame(frame).ok() || !same_geometry(frame, header)) return false;
    if (!reader.next_scan(header, parsed, found).ok() || !found || parsed.component_count != header.component_count)
        return false;
    if (job.jpeg.size - parsed.data_offset_bytes > most_bytes) return false;
    place_scan(header, parsed, job.output, 0, image.scan);
    image.needed = NeededMcus(image.scan);
    const bool needed_only = unstuff_needed(job.jpeg, parsed, image.scan, image.data);
    if (!needed_only && !unstuff(job.jpeg, parsed.data_offset_bytes, parsed.interval_count(), image.data)) return false;
    if (!image.scan.stops_early) {
        // If another scan or damage follows, the plain decoder takes the image.
        // A copy of the reader looks: tables defined after the scan must not alter the scan's.
        Scan second;
        MarkerReader ahead = reader;
        ahead.seek(image.data.end);
        if (!ahead.next_scan(header, second, found).ok() || found) return false;
    }
    bool fits = true;
    for (int i = 0; i < parsed.component_count; i++) {
        image.tables[0][i] = table(reader.tables().ac[parsed.components[i].ac_table], false);
        image.tables[1][i] = table(reader.tables().dc[parsed.components[i].dc_table], true);
        for (const auto& kind : image.tables) fits &= kind[i]->table.fits;
        std::memcpy(job.output.quantization_tables[i], reader.quantization_table(i),
                    sizeof job.output.quantization_tables[i]);
    }
    const uint64_t interval = parsed.restart_interval ? parsed.restart_interval : image.scan.mcu_end;
    const uint64_t segments = needed_only ? image.data.segment_count : (image.scan.mcu_end + interval - 1) / interval;
    image.scan.restart_interval = uint32_t(interval < UINT32_MAX ? interval : UINT32_MAX);
    image.stream = job.output.stream;
    for (int i = 0; i < parsed.component_count; i++)
        image.stream &= reinterpret_cast<uintptr_t>(image.scan.components[i].plane) % 32 == 0;
    image.job = &job;
    image.lanes = 0;
    image.failed = false;
    image.next_segment = 0;
    image.segment_count = uint32_t(segments);
    image.serial = ++clock;
    if (fits && image.data.regular && segments <= image.data.segment_count) return true;
    release(image);
    return false;
}

void Lanes::release(LaneImage& image) {
    for (auto& kind : image.tables)
        for (int i = 0; i < image.scan.component_count; i++) kind[i]->users--;
    image.job = nullptr;
}

// Finds the lane's next segment: from its own image, else a new one, else another lane's. False: there is no work left.
bool Lanes::acquire(int lane, JobQueue& queue, const Limits& limits, Decoder* plain) {
    LaneImage* own = work[lane].image;
    if (own && start_segment(lane, *own)) return true;
    work[lane].image = nullptr;
    if (own) leave(*own, queue, limits, plain);
    for (LaneImage& image : images)
        if (image.job && start_segment(lane, image)) return true;
    for (LaneImage& image : images) {
        if (image.job) continue;
        while (Job* job = queue.next()) {
            if (!job->sink && open(*job, image, limits, largest_scan_bytes)) return start_segment(lane, image);
            decode_alone(*job, limits, *plain, queue);
            queue.done(*job);
        }
        break;
    }
    return false;
}

bool Lanes::start_segment(int lane, LaneImage& image) {
    if (image.failed || image.next_segment == image.segment_count) return false;
    LaneWork& w = work[lane];
    if (w.image != &image) image.lanes++;
    w.image = &image;
    const uint32_t segment = image.next_segment++;
    const uint64_t begin = image.data.segments[segment].begin;
    w.segment_end = image.data.segments[segment].end;
    w.mcu = uint64_t(image.data.segments[segment].interval) * image.scan.restart_interval;
    w.mcu_end = w.mcu + image.scan.restart_interval;
    if (w.mcu_end > image.scan.mcu_end) w.mcu_end = image.scan.mcu_end;
    std::memset(w.dc, 0, sizeof w.dc);
    set_position(lane, 8 * begin);
    start_chunk(lane);
    return true;
}

void Lanes::set_position(int lane, uint64_t bit) {
    const uint8_t* bytes = work[lane].image->data.bytes.data();
    memory.lanes[lane].position = 8 * uint64_t(reinterpret_cast<uintptr_t>(bytes)) + bit;
    uint64_t word;
    std::memcpy(&word, bytes + bit / 8, 8);
    memory.lanes[lane].window = __builtin_bswap64(word) << (bit & 7) | 1;
}

uint64_t Lanes::bit_position(int lane) const {
    return memory.lanes[lane].position - 8 * uint64_t(reinterpret_cast<uintptr_t>(work[lane].image->data.bytes.data()));
}

// The lane's program: the image's MCU pattern, as often as it fits in before the end, then nothing more.
void Lanes::set_program(int lane) {
    LaneWork& w = work[lane];
    const LaneImage& image = *w.image;
    if (w.program_serial == image.serial) return;
    w.program_serial = image.serial;
    const int blocks_per_mcu = image.scan.blocks_per_mcu;
    const int blocks = chunk_blocks / blocks_per_mcu * blocks_per_mcu;
    const LaneEntry** program = memory.program[lane];
    const LaneEntry* const no_code = memory.tables + no_code_table * lane_entries;
    for (int block = 0; block < blocks; block++) {
        const int component = image.scan.blocks[block % blocks_per_mcu].component;
        w.components[block] = uint8_t(component);
        const TableSlot& dc = *image.tables[1][component];
        const TableSlot& ac = *image.tables[0][component];
        const int at = int(begin_place(blocks - block) >> 7);
        program[at] = dc.entries;
        program[at + 1] = ac.entries;
        for (int level = 1; level < code_levels; level++) {
            const LaneEntry** row = program + (first_level_state + level - 1) * lane_states;
            row[at - 1] = level < dc.table.levels ? dc.entries + level * lane_entries : no_code;
            row[at] = level < ac.table.levels ? ac.entries + level * lane_entries : no_code;
        }
    }
}

void Lanes::start_chunk(int lane) {
    LaneWork& w = work[lane];
    const int blocks_per_mcu = w.image->scan.blocks_per_mcu;
    const uint64_t mcu_y = w.mcu / w.image->scan.mcus_wide, mcu_x = w.mcu % w.image->scan.mcus_wide;
    const NeededMcus::Run run = w.image->needed.run(mcu_y, mcu_x);
    const uint64_t left = std::min(w.mcu_end - w.mcu, run.count);
    w.chunk_mcus = chunk_blocks / blocks_per_mcu;
    if (left < uint64_t(w.chunk_mcus)) w.chunk_mcus = int(left);
    w.skipped = !run.needed;
    set_program(lane);
    memory.lanes[lane].p = begin_place(w.chunk_mcus * blocks_per_mcu);
    if (!w.skipped) aim(lane, mcu_y, mcu_x);
}

// Where the chunk's blocks go. Their memory is fetched while the chunk is decoded.
void Lanes::aim(int lane, uint64_t mcu_y, uint64_t mcu_x) {
    LaneWork& w = work[lane];
    const SequentialScan& scan = w.image->scan;
    const bool stream = w.image->stream;
    for (int done = 0; done < w.chunk_mcus; mcu_x = 0, mcu_y++) {
        const uint64_t in_row = scan.mcus_wide - mcu_x;
        const int mcus = in_row < uint64_t(w.chunk_mcus - done) ? int(in_row) : w.chunk_mcus - done;
        const uint64_t held_y = mcu_y % scan.held_mcu_rows;
        for (int b = 0; b < scan.blocks_per_mcu; b++) {
            const auto& part = scan.components[scan.blocks[b].component];
            const uint64_t row = mcu_y * part.mcu_height + scan.blocks[b].y;
            const uint64_t held_row = held_y * part.mcu_height + scan.blocks[b].y;
            const BlockRange& needed = part.needed;
            const bool row_needed = row >= needed.row_begin && row < needed.row_end;
            const uint64_t wide = row_needed ? needed.column_end - needed.column_begin : 0;
            // Wraps around left of the first column, which is not below `wide` then.
            uint64_t column = mcu_x * part.mcu_width + scan.blocks[b].x - needed.column_begin;
            int16_t* const blocks = part.plane + (held_row * part.row_blocks + needed.column_begin) * 64;
            int16_t** targets = w.targets + done * scan.blocks_per_mcu + b;
            for (int i = 0; i < mcus; i++, column += part.mcu_width, targets += scan.blocks_per_mcu) {
                int16_t* target = column < wide ? blocks + column * 64 : spare;
                if (!stream) {
                    __builtin_prefetch(target, 1);
                    __builtin_prefetch(target + 32, 1);
                }
                *targets = target;
            }
        }
        done += mcus;
    }
}

// Takes the blocks of a full chunk. False: the image is damaged somewhere before here.
bool Lanes::finish_chunk(int lane) {
    LaneWork& w = work[lane];
    const SequentialScan& scan = w.image->scan;
    const Lane& state = memory.lanes[lane];
    const int blocks = w.chunk_mcus * scan.blocks_per_mcu;
    const TakeBlocks take_blocks = w.image->stream ? lane_kernels.stream_blocks : lane_kernels.take_blocks;
    const bool complete = w.skipped ? lane_kernels.skip_blocks(memory.scratch[lane], blocks, w.components, w.dc)
                                    : take_blocks(memory.scratch[lane], blocks, w.targets, w.components, w.dc);
    w.mcu += unsigned(w.chunk_mcus);
    return complete && ((state.p - end_place) & 127) == 0 && bit_position(lane) <= 8 * w.segment_end;
}

Rest Lanes::rest_of(int lane) const {
    const LaneWork& w = work[lane];
    const SequentialScan& scan = w.image->scan;
    Rest rest;
    rest.image = w.image;
    rest.cursor.mcu = w.mcu;
    rest.cursor.bit_position = bit_position(lane);
    std::memcpy(rest.cursor.dc, w.dc, sizeof w.dc);
    rest.mcu_end = w.mcu_end;
    rest.segment_end = w.segment_end;
    const bool whole_scan = scan.restart_interval >= scan.mcu_end;
    rest.segment_mcu_end = whole_scan ? uint64_t(scan.mcus_wide) * scan.mcus_high : w.mcu_end;
    return rest;
}

void Lanes::name_tables(LaneImage& image) {
    for (int i = 0; i < image.scan.component_count; i++) {
        image.scan.components[i].dc = plain_tables.get(image.tables[1][i]->table.spec, true, i);
        image.scan.components[i].ac = plain_tables.get(image.tables[0][i]->table.spec, false, i);
    }
}

// A lane has no more work on the image. The last lane to leave it hands it back.
void Lanes::leave(LaneImage& image, JobQueue& queue, const Limits& limits, Decoder* plain) {
    if (--image.lanes > 0) return;
    Job& job = *image.job;
    release(image);
    if (image.stream) lane_kernels.finish_streaming();
    if (image.failed && plain) {
        decode_alone(job, limits, *plain, queue);
    } else if (image.failed) {
        job.status.code = Code::malformed;
    } else {
        zero_blocks(image.scan, image.scan.mcu_end, all_mcus);
        job.status = Status();
        job.damages = {};
    }
    queue.done(job);
}

void Lanes::move(int from, int to) {
    std::memcpy(memory.scratch[to], memory.scratch[from], sizeof memory.scratch[to]);
    memory.lanes[to] = memory.lanes[from];
    const uint64_t program_serial = work[to].program_serial;
    work[to] = work[from];
    work[to].program_serial = program_serial;
    set_program(to);
    clean(from);
    work[from] = LaneWork();
}

void Lanes::clean(int lane) {
    std::memset(memory.scratch[lane], 0, sizeof memory.scratch[lane]);
    for (int block = 0; block < chunk_blocks; block++) memory.scratch[lane][first_value(block)] = no_dc;
}

void Lanes::run(JobQueue& queue, const Limits& limits, Decoder* plain) {
    int count = 0;
    while (count < lane_count && acquire(count, queue, limits, plain)) count++;
    Rest rests[max_lanes];
    int rest_count = 0;
    while (count > 0) {
        const unsigned finished = lane_kernels.step(memory, count);
        for (int lane = count - 1; lane >= 0; lane--) {
            if (!(finished >> lane & 1)) continue;
            LaneWork& w = work[lane];
            const bool good = finish_chunk(lane);
            if (!good) clean(lane);
            w.image->failed |= !good;
            const bool more = !w.image->failed && w.mcu < w.mcu_end;
            if (more && count + rest_count > few_lanes) {
                start_chunk(lane);
                continue;
            }
            if (more) {
                rests[rest_count++] = rest_of(lane);
            } else if (acquire(lane, queue, limits, plain)) {
                continue;
            }
            count--;
            if (lane < count) move(count, lane);
        }
    }
    for (int i = 0; i < rest_count; i++) {
        LaneImage& image = *rests[i].image;
        image.failed |= !decode_split(rests[i], rest_part_bytes, nullptr);
        leave(image, queue, limits, plain);
    }
}

void decode_jobs_in_lanes(Lanes& lanes, JobQueue& queue, const Limits& limits, Decoder& plain) {
    lanes.run(queue, limits, &plain);
}

void trim_lanes(Lanes& lanes, size_t most_bytes) {
    for (LaneImage& image : lanes.images) image.data.trim(most_bytes);
}

}  // namespace jpegfreq
