// One image: walks its scans and hands each to the decoder of its process.
#include "jpegfreq.h"

#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "damages.h"
#include "dispatch.h"
#include "mcu_rows.h"
#include "scan_decoders.h"
#include "status.h"

namespace jpegfreq {

struct Decoder::Scratch {
    TableCache tables;
    Unstuffed data;
    Damages damages;
    ProgressiveScratch* progressive = nullptr;
    Lanes* lanes = nullptr;
    Lanes* lanes_of_batches = nullptr;
};

namespace {

uint64_t block_count(const Component& component) { return uint64_t(component.blocks_high) * component.blocks_wide; }

void zero_plane(const Header& header, Output& output, int component) {
    std::memset(output.planes[component], 0, block_count(header.components[component]) * 128);
}

// Returns an error that leaves no coefficients: out of memory.
Status decode_sequential(MarkerReader& reader, const Header& header, Output& output, TableCache& tables,
                         Unstuffed& data, Damages& damages) {
    uint32_t decoded = 0;
    for (uint32_t number = 0;; number++) {
        Scan parsed;
        bool found = false;
        const Status status = reader.next_scan(header, parsed, found);
        if (!status.ok()) damages.add(status, number);
        if (!found) break;
        SequentialScan scan;
        place_scan(header, parsed, output, decoded, scan);
        for (int i = 0; i < parsed.component_count; i++) {
            const ScanComponent& sc = parsed.components[i];
            scan.components[i].dc = tables.get(reader.tables().dc[sc.dc_table], true, sc.dc_table);
            scan.components[i].ac = tables.get(reader.tables().ac[sc.ac_table], false, sc.ac_table);
        }
        // A scan that merges adds to what the planes hold, so the planes of its new components must hold zeros.
        for (int i = 0; scan.merge && i < parsed.component_count; i++)
            if (!(decoded >> parsed.components[i].index & 1)) zero_plane(header, output, parsed.components[i].index);
        if (!unstuff_needed(reader.jpeg(), parsed, scan, data) || !decode_needed(scan, data)) {
            if (!unstuff(reader.jpeg(), parsed.data_offset_bytes, parsed.interval_count(), data))
                return out_of_memory();
            decode_sequential_scan(reader.jpeg(), scan, data, number, damages);
        }
        for (int i = 0; i < parsed.component_count; i++) decoded |= 1u << parsed.components[i].index;
        reader.seek(data.end);
        if (scan.stops_early) break;
    }
    for (int i = 0; i < header.component_count; i++)
        if (!(decoded >> i & 1)) zero_plane(header, output, i);
    add_missing_scan(reader, header, decoded, damages);
    return Status();
}

}  // namespace

void add_missing_scan(const MarkerReader& reader, const Header& header, uint32_t decoded, Damages& damages) {
    for (int i = 0; i < header.component_count && damages.empty(); i++) {
        if (decoded >> i & 1) continue;
        const uint8_t identifier = header.components[i].identifier;
        damages.add(reader.saw_eoi()
                        ? malformed("EOI", reader.position() - 2, "component {} has no scan", "B.2.1", identifier)
                        : truncated("EOI", reader.jpeg().size, "the data end before the scan of component {}", "B.2.1",
                                    identifier),
                    UINT32_MAX);
    }
}

bool same_geometry(const Header& a, const Header& b) {
    if (a.component_count != b.component_count || a.process != b.process || a.height != b.height || a.width != b.width)
        return false;
    for (int i = 0; i < a.component_count; i++) {
        const Component &x = a.components[i], &y = b.components[i];
        if (x.horizontal_sampling_factor != y.horizontal_sampling_factor ||
            x.vertical_sampling_factor != y.vertical_sampling_factor || x.blocks_high != y.blocks_high ||
            x.blocks_wide != y.blocks_wide)
            return false;
    }
    return true;
}

Status check_promise(Bytes jpeg, const Header& header, const Limits& limits) {
    const uint64_t pixels = uint64_t(header.height) * header.width;
    if (pixels > limits.max_pixels)
        return unsupported("SOF", header.frame_offset_bytes, "{} pixels are more than max_pixels allows", "",
                           int64_t(pixels));
    if (is_arithmetic(header.process)) return Status();
    // A Huffman-coded block takes at least 1 bit for its DC code and, in one pass, 1 for its end of block (F.1.2).
    uint64_t blocks = 0;
    for (int i = 0; i < header.component_count; i++) blocks += block_count(header.components[i]);
    const uint64_t bits = is_progressive(header.process) ? blocks : 2 * blocks;
    if (bits / 8 <= jpeg.size) return Status();
    return truncated("SOF", header.frame_offset_bytes,
                     "the data are too short for the {} blocks that the frame header promises", "F.1.2",
                     int64_t(blocks));
}

Decoder::Decoder() : scratch_(new (std::nothrow) Scratch) {}

Decoder::~Decoder() {
    if (scratch_ && scratch_->progressive) delete_progressive_scratch(scratch_->progressive);
    if (scratch_) delete_lanes(scratch_->lanes);
    if (scratch_) delete_lanes(scratch_->lanes_of_batches);
    delete scratch_;
}

// Scans below this gain nothing from lanes. Neither do images of mostly empty blocks, unless their restart intervals are the
// lanes' work: to read on until a part is in step, and to move its blocks, then costs more than the lanes save. Less so where
// they are kept without zeros.
static constexpr uint64_t least_lane_bytes = 8192;
static constexpr uint64_t least_split_bits_per_block = 14, least_packed_bits_per_block = 10;

static bool is_worth_lanes(Bytes jpeg, const Header& header) {
    if (!is_huffman_sequential(header.process)) return false;
    const uint64_t bytes = jpeg.size - header.frame_offset_bytes;
    if (header.restart_interval) return bytes >= least_lane_bytes / 4;
    uint64_t blocks = 0;
    for (int i = 0; i < header.component_count; i++) blocks += block_count(header.components[i]);
    const bool packs = kernels().lanes && kernels().lanes->packs;
    const uint64_t least_bits = packs ? least_packed_bits_per_block : least_split_bits_per_block;
    return bytes >= least_lane_bytes && 8 * bytes >= least_bits * blocks;
}

static bool try_lanes(Lanes*& lanes, Bytes jpeg, const Header& header, const Limits& limits, Output& output,
                      RowSink* sink = nullptr) {
    if (!is_worth_lanes(jpeg, header)) return false;
    if (!lanes) lanes = new_lanes();
    return lanes && decode_in_lanes(*lanes, jpeg, header, limits, output, sink);
}

static bool decode_progressive_rows(Bytes jpeg, const Header& header, const Limits& limits, Output& output,
                                    ProgressiveScratch*& scratch, Damages& damages, RowSink& sink) {
    if (!scratch) scratch = new_progressive_scratch();
    MarkerReader reader(jpeg);
    Header frame;
    if (!scratch || !reader.read_frame(frame).ok() || !same_geometry(frame, header)) return false;
    const Status status = decode_progressive(reader, header, limits, output, *scratch, damages, &sink);
    return status.ok() && damages.empty();
}

bool Decoder::read_rows(Bytes jpeg, const Header& header, const Limits& limits, Output& output, RowSink& sink) {
    if (!scratch_ || !comes_in_rows(header.process)) return false;
    if (uint64_t(header.height) * header.width > limits.max_pixels) return false;
    if (is_progressive(header.process)) {
        scratch_->damages.clear();
        return decode_progressive_rows(jpeg, header, limits, output, scratch_->progressive, scratch_->damages, sink);
    }
    if (kernels().lanes && header.precision == 8 && is_worth_lanes(jpeg, header))
        return try_lanes(scratch_->lanes, jpeg, header, limits, output, &sink);
    const bool done = decode_rows(jpeg, header, output, scratch_->tables, scratch_->data, sink);
    scratch_->data.trim();
    return done;
}

Status Decoder::read_coefficients(Bytes jpeg, const Header& header, const Limits& limits, Output& output) {
    if (!scratch_) return out_of_memory();
    Damages& damages = scratch_->damages;
    damages.clear();
    if (try_lanes(scratch_->lanes, jpeg, header, limits, output)) return Status();
    MarkerReader reader(jpeg);
    Header frame;
    Status status = reader.read_frame(frame);
    if (status.ok() && !same_geometry(frame, header))
        status = malformed("", 0, "the data changed after their header was read", "");
    if (status.ok() && uint64_t(header.height) * header.width > limits.max_pixels)
        status = check_promise(jpeg, header, limits);
    if (!status.ok()) {
        for (int i = 0; i < header.component_count; i++) zero_plane(header, output, i);
        damages.add(status, 0);
        return status;
    }
    if (is_arithmetic(header.process)) {
        for (int i = 0; i < header.component_count; i++) zero_plane(header, output, i);
        status = decode_arithmetic(reader, header, limits, output, damages);
    } else if (is_progressive(header.process)) {
        if (!scratch_->progressive) scratch_->progressive = new_progressive_scratch();
        status = scratch_->progressive
                     ? decode_progressive(reader, header, limits, output, *scratch_->progressive, damages)
                     : out_of_memory();
    } else {
        status = decode_sequential(reader, header, output, scratch_->tables, scratch_->data, damages);
    }
    for (int i = 0; i < header.component_count; i++)
        std::memcpy(output.quantization_tables[i], reader.quantization_table(i), sizeof output.quantization_tables[i]);
    scratch_->data.trim();
    return status.ok() ? damages.first() : status;
}

// Of an image's data, what is kept for the next batch.
static constexpr size_t kept_scan_bytes = 256 << 10;

void Decoder::decode_jobs(JobQueue& queue, const Limits& limits) {
    // Taken away meanwhile, for the queue may come back here.
    std::unique_ptr<Lanes, void (*)(Lanes*)> lanes(nullptr, delete_lanes);
    if (scratch_) lanes.reset(std::exchange(scratch_->lanes_of_batches, nullptr));
    if (scratch_ && !lanes) lanes.reset(new_lanes());
    if (!lanes) return decode_jobs_alone(queue, limits, *this);
    decode_jobs_in_lanes(*lanes, queue, limits, *this);
    // A thread that has finished should hold little while others still work.
    trim_lanes(*lanes, kept_scan_bytes);
    if (scratch_->lanes) trim_lanes(*scratch_->lanes, kept_scan_bytes);
    scratch_->data.trim(kept_scan_bytes);
    if (!scratch_->lanes_of_batches) scratch_->lanes_of_batches = lanes.release();
}

Span<const Status> Decoder::damages() { return scratch_ ? scratch_->damages.list() : Span<const Status>(); }

}  // namespace jpegfreq
