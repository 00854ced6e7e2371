// One image: walks its scans and hands each to the decoder of its process.
#include "jpegfreq.h"

#include <cstring>
#include <new>

#include "dispatch.h"
#include "lanes.h"
#include "scan_decoders.h"
#include "sequential.h"

namespace jpegfreq {

struct Decoder::Scratch {
    TableCache tables;
    Unstuffed data;
    ProgressiveScratch* progressive = nullptr;
    Lanes* lanes = nullptr;
};

namespace {

uint64_t block_count(const Component& component) { return uint64_t(component.blocks_high) * component.blocks_wide; }

void zero_plane(const Header& header, Output& output, int component) {
    std::memset(output.planes[component], 0, block_count(header.components[component]) * 128);
}

Status out_of_memory() {
    Status status;
    status.code = Code::out_of_memory;
    status.message = "out of memory";
    return status;
}

Status decode_sequential(MarkerReader& reader, const Header& header, Output& output, TableCache& tables,
                         Unstuffed& data) {
    Status status;
    uint32_t decoded = 0;
    while (true) {
        Scan parsed;
        bool found = false;
        status = reader.next_scan(header, parsed, found);
        if (!found) break;
        SequentialScan scan;
        place_scan(header, parsed, output, decoded, scan);
        for (int i = 0; i < parsed.component_count; i++) {
            const ScanComponent& sc = parsed.components[i];
            scan.components[i].dc = tables.get(reader.tables().dc[sc.dc_table], true, sc.dc_table);
            scan.components[i].ac = tables.get(reader.tables().ac[sc.ac_table], false, sc.ac_table);
        }
        // A scan that merges adds to what stands in the planes, so zeros must stand in those of its new components.
        for (int i = 0; scan.merge && i < parsed.component_count; i++)
            if (!(decoded >> parsed.components[i].index & 1)) zero_plane(header, output, parsed.components[i].index);
        if (!unstuff(reader.jpeg(), parsed.data_offset_bytes, parsed.restart_interval != 0, data)) {
            status = out_of_memory();
            break;
        }
        status = decode_sequential_scan(reader.jpeg(), scan, data);
        for (int i = 0; i < parsed.component_count; i++) decoded |= 1u << parsed.components[i].index;
        if (!status.ok()) break;
        reader.seek(data.end);
        // An early stop reads one scan of all components and nothing behind it.
        if (output.mcu_rows && parsed.component_count == header.component_count) break;
    }
    for (int i = 0; i < header.component_count; i++)
        if (!(decoded >> i & 1)) zero_plane(header, output, i);
    return status.ok() ? check_complete(reader, header, decoded) : status;
}

}  // namespace

Status check_complete(const MarkerReader& reader, const Header& header, uint32_t decoded) {
    for (int i = 0; i < header.component_count; i++) {
        if (decoded >> i & 1) continue;
        Status status;
        status.code = reader.saw_eoi() ? Code::malformed : Code::truncated;
        status.segment = "EOI";
        status.message = reader.saw_eoi() ? "component {} has no scan" : "the data end before the scan of component {}";
        status.clause = "B.2.1";
        status.offset_bytes = reader.saw_eoi() ? reader.position() - 2 : reader.jpeg().size;
        status.detail = header.components[i].identifier;
        return status;
    }
    return Status();
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
    Status status;
    status.segment = "SOF";
    status.offset_bytes = header.frame_offset_bytes;
    const uint64_t pixels = uint64_t(header.height) * header.width;
    if (pixels > limits.max_pixels) {
        status.code = Code::unsupported;
        status.message = "{} pixels are more than max_pixels allows";
        status.detail = int64_t(pixels);
        return status;
    }
    // A Huffman-coded block takes at least 1 bit for its DC code and, in one pass, 1 for its end of block (F.1.2).
    if (int(header.process) < 9) {
        uint64_t blocks = 0;
        for (int i = 0; i < header.component_count; i++) blocks += block_count(header.components[i]);
        const uint64_t bits = header.process == Process::progressive ? blocks : 2 * blocks;
        if (bits / 8 > jpeg.size) {
            status.code = Code::truncated;
            status.message = "the data are too short for the {} blocks that the frame header promises";
            status.clause = "F.1.2";
            status.detail = int64_t(blocks);
            return status;
        }
    }
    return Status();
}

Decoder::Decoder() : scratch_(new (std::nothrow) Scratch) {}

Decoder::~Decoder() {
    if (scratch_ && scratch_->progressive) delete_progressive_scratch(scratch_->progressive);
#if defined(__x86_64__)
    if (scratch_ && scratch_->lanes) delete_lanes(scratch_->lanes);
#endif
    delete scratch_;
}

#if defined(__x86_64__)
// Scans below this gain nothing from lanes.
static constexpr uint64_t least_lane_bytes = 8192;

static bool try_lanes(Lanes*& lanes, Bytes jpeg, const Header& header, const Limits& limits, Output& output) {
    const uint64_t least = header.restart_interval ? least_lane_bytes / 4 : least_lane_bytes;
    if (!use_avx2() || int(header.process) > 1 || jpeg.size - header.frame_offset_bytes < least) return false;
    if (!lanes) lanes = new_lanes();
    return lanes && decode_in_lanes(*lanes, jpeg, header, limits, output);
}
#endif

Status Decoder::read_coefficients(Bytes jpeg, const Header& header, const Limits& limits, Output& output) {
    if (!scratch_) return out_of_memory();
#if defined(__x86_64__)
    if (try_lanes(scratch_->lanes, jpeg, header, limits, output)) return Status();
#endif
    MarkerReader reader(jpeg);
    Header frame;
    Status status = reader.read_frame(frame);
    if (status.ok() && !same_geometry(frame, header)) {
        status.code = Code::malformed;
        status.message = "the data changed after their header was read";
    }
    if (status.ok() && uint64_t(header.height) * header.width > limits.max_pixels)
        status = check_promise(jpeg, header, limits);
    if (!status.ok()) {
        for (int i = 0; i < header.component_count; i++) zero_plane(header, output, i);
        return status;
    }
    if (header.process == Process::progressive) {
        if (!scratch_->progressive) scratch_->progressive = new_progressive_scratch();
        status = scratch_->progressive ? decode_progressive(reader, header, limits, output, *scratch_->progressive)
                                       : out_of_memory();
    } else if (int(header.process) >= 9) {
        for (int i = 0; i < header.component_count; i++) zero_plane(header, output, i);
        status = decode_arithmetic(reader, header, limits, output);
    } else {
        status = decode_sequential(reader, header, output, scratch_->tables, scratch_->data);
    }
    for (int i = 0; i < header.component_count; i++)
        std::memcpy(output.quantization_tables[i], reader.quantization_table(i), sizeof output.quantization_tables[i]);
    scratch_->data.bytes.trim(4 << 20);
    scratch_->data.segments.trim(1 << 20);
    return status;
}

}  // namespace jpegfreq
