#include "mcu_rows.h"

#include <cstring>

#include "dispatch.h"
#include "scan_decoders.h"

namespace jpegfreq {

// Of restart intervals, which are decoded side by side: enough for every lane to have a row, and those that they begin and end in.
static constexpr uint32_t held_blocks = 8192;

uint32_t mcu_rows_to_hold(const Header& header) {
    uint32_t all = 0, most = 0;  // blocks in a row of MCUs: of all components, of the largest
    for (int i = 0; i < header.component_count; i++) {
        const uint32_t blocks = header.components[i].blocks_wide * mcu_height(header, i);
        all += blocks;
        if (blocks > most) most = blocks;
    }
    if (is_progressive(header.process)) return band_blocks / most + 2;
    return header.restart_interval ? held_blocks / all + 3 : 2;
}

void tell_rows(RowSink& sink, const Output& output, const SequentialScan& scan, uint64_t mcu) {
    for (int i = 0; i < scan.component_count; i++) {
        const auto& part = scan.components[i];
        const uint64_t end = mcu / scan.mcus_wide * part.mcu_height;
        sink.rows(output, i, end < part.blocks_high ? uint32_t(end) : part.blocks_high);
    }
}

bool decode_interval(const SequentialScan& scan, const uint8_t* bytes, uint64_t end, uint64_t mcu_end, Cursor& cursor,
                     const Output& output, RowSink* sink) {
    const DecodeSegment decode_segment = kernels().decode_segment;
    while (cursor.mcu < mcu_end) {
        const uint64_t row_end = (cursor.mcu / scan.mcus_wide + 1) * scan.mcus_wide;
        const uint64_t stop = sink && row_end < mcu_end ? row_end : mcu_end;
        if (decode_segment(scan, bytes, end, stop, cursor) != Stop::done) return false;
        if (sink) tell_rows(*sink, output, scan, cursor.mcu);
    }
    return true;
}

bool decode_rows(Bytes jpeg, const Header& header, Output& output, TableCache& tables, Unstuffed& data, RowSink& sink) {
    MarkerReader reader(jpeg);
    Header frame;
    Scan parsed;
    bool found = false;
    if (!reader.read_frame(frame).ok() || !same_geometry(frame, header)) return false;
    if (!reader.next_scan(header, parsed, found).ok() || !found || parsed.component_count != header.component_count)
        return false;
    SequentialScan scan;
    place_scan(header, parsed, output, 0, scan);
    for (int i = 0; i < parsed.component_count; i++) {
        const ScanComponent& sc = parsed.components[i];
        scan.components[i].dc = tables.get(reader.tables().dc[sc.dc_table], true, sc.dc_table);
        scan.components[i].ac = tables.get(reader.tables().ac[sc.ac_table], false, sc.ac_table);
        std::memcpy(output.quantization_tables[sc.index], reader.quantization_table(sc.index),
                    sizeof output.quantization_tables[sc.index]);
    }
    const bool needed_only = unstuff_needed(jpeg, parsed, scan, data);
    if (!needed_only && !unstuff(jpeg, parsed.data_offset_bytes, parsed.interval_count(), data)) return false;
    const uint64_t step = parsed.restart_interval ? parsed.restart_interval : scan.mcu_end;
    const uint64_t count = needed_only ? data.segment_count : (scan.mcu_end + step - 1) / step;
    if (!data.regular || data.segment_count < count) return false;
    for (uint32_t i = 0; i < count; i++) {
        const RestartSegment& segment = data.segments[i];
        Cursor cursor;
        cursor.mcu = segment.interval * step;
        cursor.bit_position = 8 * uint64_t(segment.begin);
        const uint64_t left = scan.mcu_end - cursor.mcu;
        const uint64_t mcu_end = cursor.mcu + (left < step ? left : step);
        if (!decode_interval(scan, data.bytes.data(), segment.end, mcu_end, cursor, output, &sink)) return false;
    }
    tell_rows(sink, output, scan, scan.mcu_end);
    if (scan.stops_early) return true;
    reader.seek(data.end);
    return reader.next_scan(header, parsed, found).ok() && !found;
}

}  // namespace jpegfreq
