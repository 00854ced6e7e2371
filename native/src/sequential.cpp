#include "sequential.h"

#include <cstring>

#include "dispatch.h"

namespace jpegfreq {
namespace {
#define VECTOR_BYTES 16
#include "sequential_kernel.h"

// The reason for a stop, in the words of the standard.
Status describe(Bytes jpeg, const Unstuffed& data, Stop stop, const Cursor& cursor, bool last_segment) {
    Status status;
    if (stop == Stop::done) return status;
    status.segment = "scan data";
    status.detail = int64_t(cursor.mcu);
    status.offset_bytes = file_offset(jpeg, data, cursor.bit_position / 8);
    status.code = Code::malformed;
    switch (stop) {
        case Stop::done:
        case Stop::bad_code:
            status.message = "no Huffman code matches in MCU {}";
            status.clause = "F.2.2.3";
            return status;
        case Stop::past_63:
            status.message = "a run passes coefficient 63 in MCU {}";
            status.clause = "F.2.2.2";
            return status;
        case Stop::overrun: break;
    }
    if (!last_segment) {
        status.message = "a restart marker comes before the end of its interval, in MCU {}";
        status.clause = "E.2.4";
    } else if (data.wrong_restart) {
        status.message = "a restart marker out of order, in MCU {}";
        status.clause = "E.2.4";
    } else {
        status.code = Code::truncated;
        status.message = data.end == jpeg.size ? "the data end in MCU {}" : "a marker ends the data in MCU {}";
        status.clause = "E.2.3";
    }
    return status;
}

}  // namespace

Stop decode_segment_generic(const SequentialScan& scan, const uint8_t* bytes, uint64_t end, uint64_t mcu_end,
                            Cursor& cursor) {
    return decode_mcus(scan, bytes, end, mcu_end, cursor);
}

Stop decode_segment(const SequentialScan& scan, const uint8_t* bytes, uint64_t end, uint64_t mcu_end, Cursor& cursor) {
#if defined(__x86_64__)
    if (use_avx2()) return decode_segment_avx2(scan, bytes, end, mcu_end, cursor);
#endif
    return decode_segment_generic(scan, bytes, end, mcu_end, cursor);
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
        part.blocks_wide = component.blocks_wide;
        part.blocks_high = component.blocks_high;
        const BlockRange& needed = output.needed[sc.index];
        part.needed = needed.row_end ? needed : BlockRange{0, part.blocks_high, 0, part.blocks_wide};
        // A.2.2: the MCU of a scan of one component is one block, whatever its sampling factors.
        part.mcu_width = parsed.component_count == 1 ? 1 : component.horizontal_sampling_factor;
        part.mcu_height = parsed.component_count == 1 ? 1 : component.vertical_sampling_factor;
        for (int y = 0; y < part.mcu_height; y++)
            for (int x = 0; x < part.mcu_width; x++)
                scan.blocks[scan.blocks_per_mcu++] = ScanBlock{uint8_t(i), uint8_t(x), uint8_t(y)};
        scan.merge |= (components_decoded >> sc.index & 1) != 0;
    }
    uint64_t rows = scan.mcus_high;
    if (output.mcu_rows && parsed.component_count == header.component_count && output.mcu_rows < rows)
        rows = output.mcu_rows;
    scan.mcu_end = rows * scan.mcus_wide;
}

void zero_blocks(const SequentialScan& scan, uint64_t mcu_begin) {
    if (scan.merge) return;
    const uint64_t mcu_y = mcu_begin / scan.mcus_wide, mcu_x = mcu_begin % scan.mcus_wide;
    for (int i = 0; i < scan.component_count; i++) {
        const auto& part = scan.components[i];
        for (uint64_t row = mcu_y * part.mcu_height; row < part.needed.row_end; row++) {
            const uint64_t first = row < (mcu_y + 1) * part.mcu_height ? mcu_x * part.mcu_width : 0;
            if (first >= part.blocks_wide) continue;
            std::memset(part.plane + (row * part.blocks_wide + first) * 64, 0, (part.blocks_wide - first) * 128);
        }
    }
}

Status decode_sequential_scan(Bytes jpeg, const SequentialScan& scan, const Unstuffed& data) {
    const uint32_t* segments = data.segments.data();
    const uint64_t step = scan.restart_interval ? scan.restart_interval : scan.mcu_end;
    Cursor cursor;
    Status status;
    for (uint32_t i = 0; cursor.mcu < scan.mcu_end && status.ok(); i++) {
        const bool last = i + 1 >= data.segment_count;
        const uint64_t mcu_end = scan.mcu_end - cursor.mcu < step ? scan.mcu_end : cursor.mcu + step;
        Cursor next;  // E.2.4: a restart sets the predictions to 0
        next.mcu = cursor.mcu;
        next.bit_position = 8 * uint64_t(segments[i < data.segment_count ? i : data.segment_count]);
        Stop stop = Stop::overrun;
        if (i < data.segment_count) stop = decode_segment(scan, data.bytes.data(), segments[i + 1], mcu_end, next);
        cursor = next;
        status = describe(jpeg, data, stop, cursor, last);
        if (status.ok() && !last && cursor.mcu < scan.mcu_end && bytes_left(cursor, segments[i + 1])) {
            status.code = Code::malformed;
            status.segment = "scan data";
            status.message = "{} bytes too many before a restart marker";
            status.clause = "E.2.4";
            status.detail = int64_t(bytes_left(cursor, segments[i + 1]));
            status.offset_bytes = file_offset(jpeg, data, (cursor.bit_position + 7) / 8);
        }
    }
    zero_blocks(scan, cursor.mcu);
    return status;
}

}  // namespace jpegfreq
