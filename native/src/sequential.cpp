#include "sequential.h"

#include <cstring>

#include "dispatch.h"

namespace jpegfreq {
namespace {
#define VECTOR_BYTES 16
#include "sequential_kernel.h"

bool same_spec(const HuffmanSpec& a, const HuffmanSpec& b) {
    return a.defined == b.defined && a.value_count == b.value_count &&
           std::memcmp(a.code_counts, b.code_counts, sizeof a.code_counts) == 0 &&
           std::memcmp(a.values, b.values, sizeof a.values) == 0;
}

// The reason for a stop, in the words of the standard.
Status describe(Bytes jpeg, const Unstuffed& data, const SegmentResult& result, bool last_segment) {
    Status status;
    if (result.stop == Stop::done) return status;
    status.segment = "scan data";
    status.detail = int64_t(result.mcu);
    status.offset_bytes = file_offset(jpeg, data, result.bit_position / 8);
    status.code = Code::malformed;
    switch (result.stop) {
        case Stop::done:
        case Stop::bad_code:
            status.message = "no Huffman code matches in MCU {}";
            status.clause = "F.2.2.3";
            return status;
        case Stop::past_63:
            status.message = "a run passes coefficient 63 in MCU {}";
            status.clause = "F.2.2.2";
            return status;
        case Stop::overrun:
            break;
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

SegmentResult decode_segment_generic(const SequentialScan& scan, const uint8_t* bytes, uint64_t begin, uint64_t end,
                                     uint64_t mcu_begin, uint64_t mcu_end) {
    return decode_segment(scan, bytes, begin, end, mcu_begin, mcu_end);
}

const HuffmanTable* TableCache::get(const HuffmanSpec& spec, bool is_dc, int id) {
    HuffmanSpec& held = specs[is_dc][id];
    if (!same_spec(held, spec)) {
        build_table(spec, is_dc, tables[is_dc][id]);
        held = spec;
    }
    return &tables[is_dc][id];
}

void prepare_scan(const Header& header, const Scan& parsed, const Tables& tables, const Output& output, TableCache& cache,
                  uint32_t components_decoded, SequentialScan& scan) {
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
        part.dc = cache.get(tables.dc[sc.dc_table], true, sc.dc_table);
        part.ac = cache.get(tables.ac[sc.ac_table], false, sc.ac_table);
        part.plane = output.planes[sc.index];
        part.blocks_wide = component.blocks_wide;
        part.blocks_high = component.blocks_high;
        // A.2.2: the MCU of a scan of one component is one block, whatever its sampling factors.
        part.mcu_width = parsed.component_count == 1 ? 1 : component.horizontal_sampling_factor;
        part.mcu_height = parsed.component_count == 1 ? 1 : component.vertical_sampling_factor;
        for (int y = 0; y < part.mcu_height; y++)
            for (int x = 0; x < part.mcu_width; x++)
                scan.blocks[scan.blocks_per_mcu++] = ScanBlock{uint8_t(i), uint8_t(x), uint8_t(y)};
        scan.merge |= (components_decoded >> sc.index & 1) != 0;
    }
    uint64_t rows = scan.mcus_high;
    if (output.mcu_rows && parsed.component_count == header.component_count && output.mcu_rows < rows) rows = output.mcu_rows;
    scan.mcu_end = rows * scan.mcus_wide;
}

void zero_blocks(const SequentialScan& scan, uint64_t mcu_begin) {
    if (scan.merge) return;
    const uint64_t mcu_y = mcu_begin / scan.mcus_wide, mcu_x = mcu_begin % scan.mcus_wide;
    for (int i = 0; i < scan.component_count; i++) {
        const auto& part = scan.components[i];
        for (uint64_t row = mcu_y * part.mcu_height; row < part.blocks_high; row++) {
            const uint64_t first = row < (mcu_y + 1) * part.mcu_height ? mcu_x * part.mcu_width : 0;
            if (first >= part.blocks_wide) continue;
            std::memset(part.plane + (row * part.blocks_wide + first) * 64, 0, (part.blocks_wide - first) * 128);
        }
    }
}

Status decode_sequential_scan(Bytes jpeg, const SequentialScan& scan, const Unstuffed& data) {
    const auto decode = use_avx2() ? decode_segment_avx2 : decode_segment_generic;
    const uint64_t step = scan.restart_interval ? scan.restart_interval : scan.mcu_end;
    uint64_t mcu = 0;
    Status status;
    for (uint32_t i = 0; mcu < scan.mcu_end && status.ok(); i++) {
        const uint64_t mcu_end = scan.mcu_end - mcu < step ? scan.mcu_end : mcu + step;
        if (i >= data.segment_count) {
            SegmentResult missing;
            missing.stop = Stop::overrun;
            missing.mcu = mcu;
            missing.bit_position = 8 * uint64_t(data.segments.data()[data.segment_count]);
            status = describe(jpeg, data, missing, true);
            break;
        }
        const SegmentResult result =
            decode(scan, data.bytes.data(), data.segments.data()[i], data.segments.data()[i + 1], mcu, mcu_end);
        mcu = result.mcu;
        status = describe(jpeg, data, result, i + 1 == data.segment_count);
        const uint64_t left = data.segments.data()[i + 1] - (result.bit_position + 7) / 8;
        if (status.ok() && left > 0 && i + 1 < data.segment_count && mcu < scan.mcu_end) {
            status.code = Code::malformed;
            status.segment = "scan data";
            status.message = "{} bytes too many before a restart marker";
            status.clause = "E.2.4";
            status.detail = int64_t(left);
            status.offset_bytes = file_offset(jpeg, data, (result.bit_position + 7) / 8);
        }
    }
    zero_blocks(scan, mcu);
    return status;
}

}  // namespace jpegfreq
