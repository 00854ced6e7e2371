#include "needed_intervals.h"

#include <cstring>

#include "dispatch.h"
#include "needed_mcus.h"

namespace jpegfreq {

namespace {

// The first marker from `in` on, a fill byte among them; `end` or its last byte if there is none.
const uint8_t* skip_interval(const uint8_t* in, const uint8_t* end) {
    while (in < end) {
        const void* hit = std::memchr(in, 0xFF, size_t(end - in));
        if (!hit) return end;
        in = static_cast<const uint8_t*>(hit);
        if (end - in < 2 || in[1] != 0) return in;
        in += 2;
    }
    return end;
}

// The same, with a copy of what is passed.
const uint8_t* copy_interval(const uint8_t* in, const uint8_t* end, CopyToFf copy_run, uint8_t*& copy) {
    while (true) {
        const size_t run = copy_run(in, end, copy);
        in += run;
        copy += run;
        if (end - in < 2 || in[1] != 0) return in;
        *copy++ = 0xFF;
        in += 2;
    }
}

}  // namespace

bool unstuff_needed(Bytes jpeg, const Scan& parsed, const SequentialScan& scan, Unstuffed& out) {
    if (!scan.stops_early || parsed.restart_interval == 0 || scan.merge) return false;
    const NeededMcus needed(scan);
    const uint64_t size = jpeg.size - parsed.data_offset_bytes;
    // Every interval but the first takes a marker of 2 bytes.
    const uint64_t most_segments = 1 + size / 2, intervals = parsed.interval_count();
    if (size > UINT32_MAX - unstuffed_padding || !out.bytes.reserve(size_t(size) + unstuffed_padding)) return false;
    if (!out.segments.reserve(size_t(intervals < most_segments ? intervals : most_segments))) return false;
    static_cast<ScanBytes&>(out) = ScanBytes();
    out.begin = parsed.data_offset_bytes;
    const CopyToFf copy_run = kernels().copy_to_ff;
    const uint8_t* const begin = jpeg.data + out.begin;
    const uint8_t* const end = jpeg.data + jpeg.size;
    const uint8_t* in = begin;
    uint8_t* const bytes = out.bytes.data();
    uint8_t* copy = bytes;
    uint64_t next = needed.next(0);
    for (uint64_t interval = 0; next != all_mcus; interval++) {
        if (interval > 0) {
            if (end - in < 2 || in[1] != RST0 + ((interval - 1) & 7)) return false;
            in += 2;
        }
        const uint64_t interval_end = (interval + 1) * parsed.restart_interval;
        if (next >= interval_end) {
            in = skip_interval(in, end);
            continue;
        }
        RestartSegment& segment = out.segments[out.segment_count++];
        segment = RestartSegment();
        segment.offset_bytes = uint32_t(in - begin);
        segment.interval = uint32_t(interval);
        segment.begin = uint32_t(copy - bytes);
        in = copy_interval(in, end, copy_run, copy);
        segment.end = uint32_t(copy - bytes);
        next = needed.next(interval_end);
    }
    out.copy_end = copy;
    out.end = uint64_t(in - jpeg.data);
    std::memset(copy, 0, unstuffed_padding);
    return out.segment_count > 0;
}

bool decode_needed(const SequentialScan& scan, const Unstuffed& data) {
    const DecodeSegment decode_segment = kernels().decode_segment;
    for (uint32_t i = 0; i < data.segment_count; i++) {
        const RestartSegment& segment = data.segments[i];
        Cursor cursor;
        cursor.mcu = uint64_t(segment.interval) * scan.restart_interval;
        cursor.bit_position = 8 * uint64_t(segment.begin);
        const uint64_t left = scan.mcu_end - cursor.mcu;
        const uint64_t mcus = left < scan.restart_interval ? left : scan.restart_interval;
        if (decode_segment(scan, data.bytes.data(), segment.end, cursor.mcu + mcus, cursor) != Stop::done) return false;
    }
    zero_blocks(scan, scan.mcu_end, all_mcus);
    return true;
}

}  // namespace jpegfreq
