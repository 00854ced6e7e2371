#include "sequential.h"

#include <algorithm>
#include <cstring>

#include "dispatch.h"
#include "status.h"

namespace jpegfreq {
namespace {
#define VECTOR_BYTES 16
#include "sequential_kernel.h"

// The reason for a stop, in the words of the standard.
Status describe(Bytes jpeg, const Unstuffed& data, const RestartSegment& segment, Stop stop, const Cursor& cursor) {
    const uint64_t offset = file_offset(jpeg, data, segment, cursor.bit_position / 8);
    const int64_t mcu = int64_t(cursor.mcu);
    switch (stop) {
        case Stop::done: return Status();
        case Stop::bad_code: return malformed("scan data", offset, "no Huffman code matches in MCU {}", "F.2.2.3", mcu);
        case Stop::past_63:
            return malformed("scan data", offset, "a run passes coefficient 63 in MCU {}", "F.2.2.2", mcu);
        case Stop::overrun: break;
    }
    if (segment.ended_by_marker || segment.end == uint64_t(data.copy_end - data.bytes.data()))
        return truncated("scan data", offset,
                         data.end == jpeg.size ? "the data end in MCU {}" : "a marker ends the data in MCU {}", "E.2.3",
                         mcu);
    return malformed("scan data", offset, "a restart marker comes before the end of its interval, in MCU {}", "E.2.4",
                     mcu);
}

}  // namespace

Stop decode_segment_generic(const SequentialScan& scan, const uint8_t* bytes, uint64_t end, uint64_t mcu_end,
                            Cursor& cursor) {
    return decode_mcus(scan, bytes, end, mcu_end, cursor);
}

bool same_codes(const HuffmanSpec& a, const HuffmanSpec& b) {
    return a.defined == b.defined && a.value_count == b.value_count &&
           std::memcmp(a.code_counts, b.code_counts, sizeof a.code_counts) == 0 &&
           std::memcmp(a.values, b.values, sizeof a.values) == 0;
}

const HuffmanTable* TableCache::get(const HuffmanSpec& spec, bool is_dc, int id) {
    HuffmanSpec& held = specs[is_dc][id];
    if (!same_codes(held, spec)) {
        build_table(spec, is_dc, tables[is_dc][id]);
        held = spec;
    }
    return &tables[is_dc][id];
}

void place_scan(const Header& header, const Scan& parsed, const Output& output, uint32_t components_decoded,
                SequentialScan& scan) {
    scan.component_count = parsed.component_count;
    scan.blocks_per_mcu = 0;
    scan.mcus_wide = parsed.mcus_wide;
    scan.mcus_high = parsed.mcus_high;
    scan.restart_interval = parsed.restart_interval;
    scan.merge = false;
    for (int i = 0; i < parsed.component_count; i++) {
        const ScanComponent& sc = parsed.components[i];
        const Component& component = header.components[sc.index];
        SequentialScan::Part& part = scan.components[i];
        part.plane = output.planes[sc.index];
        part.row_blocks = row_blocks(header, output, sc.index);
        part.blocks_high = component.blocks_high;
        const BlockRange& needed = output.needed[sc.index];
        part.needed = needed.row_end ? needed : BlockRange{0, part.blocks_high, 0, component.blocks_wide};
        // A.2.2: the MCU of a scan of one component is one block, whatever its sampling factors.
        part.mcu_width = parsed.component_count == 1 ? 1 : component.horizontal_sampling_factor;
        part.mcu_height = parsed.component_count == 1 ? 1 : component.vertical_sampling_factor;
        for (int y = 0; y < part.mcu_height; y++)
            for (int x = 0; x < part.mcu_width; x++)
                scan.blocks[scan.blocks_per_mcu++] = ScanBlock{uint8_t(i), uint8_t(x), uint8_t(y)};
        scan.merge |= (components_decoded >> sc.index & 1) != 0;
    }
    scan.stops_early = output.mcu_rows && parsed.component_count == header.component_count;
    uint64_t rows = scan.mcus_high;
    if (scan.stops_early && output.mcu_rows < rows) rows = output.mcu_rows;
    scan.mcu_end = rows * scan.mcus_wide;
    scan.held_mcu_rows = output.held_mcu_rows ? output.held_mcu_rows : scan.mcus_high;
}

void zero_blocks(const SequentialScan& scan, uint64_t begin, uint64_t end) {
    if (scan.merge) return;
    const uint64_t first_row = begin / scan.mcus_wide, first_column = begin % scan.mcus_wide;
    const uint64_t last_row = end / scan.mcus_wide, last_column = end % scan.mcus_wide;
    for (int i = 0; i < scan.component_count; i++) {
        const auto& part = scan.components[i];
        const BlockRange& needed = part.needed;
        for (uint64_t row = std::max<uint64_t>(first_row * part.mcu_height, needed.row_begin); row < needed.row_end;
             row++) {
            const uint64_t mcu_row = row / part.mcu_height;
            if (mcu_row > last_row) break;
            uint64_t from = needed.column_begin, to = needed.column_end;
            if (mcu_row == first_row) from = std::max(from, first_column * part.mcu_width);
            if (mcu_row == last_row) to = std::min(to, last_column * part.mcu_width);
            if (from < to) std::memset(part.plane + (row * part.row_blocks + from) * 64, 0, (to - from) * 128);
        }
    }
}

void decode_sequential_scan(Bytes jpeg, const SequentialScan& scan, const Unstuffed& data, uint32_t scan_number,
                            Damages& damages) {
    const uint64_t step = scan.restart_interval ? scan.restart_interval : scan.mcu_end;
    const DecodeSegment decode_segment = kernels().decode_segment;
    uint64_t done = 0;
    for (uint32_t i = 0; i < data.segment_count && done < scan.mcu_end; i++) {
        const RestartSegment& segment = data.segments[i];
        Cursor cursor;  // E.2.4: a restart sets the predictions to 0
        cursor.mcu = segment.interval * step;
        cursor.bit_position = 8 * uint64_t(segment.begin);
        if (cursor.mcu > done) {
            const uint64_t lost_end = cursor.mcu < scan.mcu_end ? cursor.mcu : scan.mcu_end;
            damages.add(malformed("scan data", data.begin + segment.offset_bytes - 2,
                                  "a restart marker out of order, in MCU {}", "E.2.4", int64_t(done)),
                        scan_number);
            zero_blocks(scan, done, lost_end);
            done = lost_end;
            if (done == scan.mcu_end) break;
        }
        const uint64_t mcu_end = scan.mcu_end - done < step ? scan.mcu_end : done + step;
        const Stop stop = decode_segment(scan, data.bytes.data(), segment.end, mcu_end, cursor);
        done = mcu_end;
        if (stop != Stop::done) {
            damages.add(describe(jpeg, data, segment, stop, cursor), scan_number);
            zero_blocks(scan, cursor.mcu, done);
        } else if (segment.ended_by_marker && done < scan.mcu_end) {
            damages.add(
                malformed("scan data", file_offset(jpeg, data, segment, segment.end),
                          "another marker where a restart marker belongs, after MCU {}", "E.2.4", int64_t(done - 1)),
                scan_number);
        }
    }
    if (done < scan.mcu_end) {
        const char* message =
            data.end == jpeg.size ? "the data end before MCU {}" : "a marker ends the data before MCU {}";
        damages.add(truncated("scan data", data.end, message, "E.2.3", int64_t(done)), scan_number);
    }
    zero_blocks(scan, done, all_mcus);
}

}  // namespace jpegfreq
