#include "unstuff.h"

#include <cstring>

#include "dispatch.h"
#include "restart_order.h"

namespace jpegfreq {

size_t copy_to_ff_generic(const uint8_t* in, const uint8_t* end, uint8_t* out) {
    const uint8_t* p = in;
    while (end - p >= 8) {
        uint64_t word;
        std::memcpy(&word, p, 8);
        std::memcpy(out, &word, 8);
        // The lowest bit that is left is that of the first zero byte in ~word.
        const uint64_t found = (~word - 0x0101010101010101u) & word & 0x8080808080808080u;
        if (found) return size_t(p - in) + unsigned(__builtin_ctzll(found)) / 8;
        p += 8;
        out += 8;
    }
    while (p < end && *p != 0xFF) *out++ = *p++;
    return size_t(p - in);
}

bool copy_scan(Bytes jpeg, uint64_t begin, uint64_t interval_count, CopyToFf copy_run, const uint8_t* base,
               uint8_t* copy, Buffer<RestartSegment>& segments, size_t first_segment, ScanBytes& out) {
    out = ScanBytes();
    out.begin = begin;
    // Every segment but the first takes a marker of 2 bytes.
    const uint64_t most_segments = 1 + (jpeg.size - begin) / 2;
    const uint64_t capacity = first_segment + (interval_count < most_segments ? interval_count : most_segments);
    if (capacity > SIZE_MAX || !segments.reserve(size_t(capacity), first_segment)) return false;
    RestartSegment* segment = &segments[first_segment];
    *segment = RestartSegment();
    segment->begin = uint32_t(copy - base);
    bool extra = false;  // between an extra marker and the next one
    const uint8_t* in = jpeg.data + begin;
    const uint8_t* const end = jpeg.data + jpeg.size;
    while (true) {
        const size_t run = copy_run(in, end, copy);
        in += run;
        copy += run;
        if (in == end) break;
        const uint8_t* code = in + 1;
        while (code < end && *code == 0xFF) code++;  // B.1.1.2: fill bytes
        if (code == end) {
            in = end;
            break;
        }
        if (*code == 0) {
            *copy++ = 0xFF;
            in = code + 1;
            continue;
        }
        in = code - 1;
        const uint64_t expected = uint64_t(segment->interval) + 1;
        if (expected >= interval_count) break;
        const uint8_t* const data_end = copy;
        if (!is_restart(*code)) {
            const uint64_t restart = find_restart(jpeg, uint64_t(code + 1 - jpeg.data));
            if (restart == jpeg.size) break;
            if (!is_reserved(*code) && !extra) {
                segment->ended_by_marker = true;
                out.regular = false;
            }
            in = jpeg.data + restart;
        }
        const uint64_t interval = interval_after(jpeg, uint64_t(in - jpeg.data), expected, interval_count);
        in += 2;
        if (!extra) segment->end = uint32_t(data_end - base);
        extra = interval == no_interval;
        if (extra) continue;  // what follows is copied, but belongs to no segment
        out.regular &= interval == expected;
        segment++;
        *segment = RestartSegment();
        segment->begin = uint32_t(copy - base);
        segment->offset_bytes = uint32_t(uint64_t(in - jpeg.data) - begin);
        segment->interval = uint32_t(interval);
    }
    if (!extra) segment->end = uint32_t(copy - base);
    out.segment_count = uint32_t(segment - &segments[first_segment]) + 1;
    out.copy_end = copy;
    out.end = uint64_t(in - jpeg.data);
    return true;
}

uint64_t file_offset(Bytes jpeg, const ScanBytes& scan, const RestartSegment& segment, uint64_t position) {
    uint64_t at = scan.begin + segment.offset_bytes;
    for (uint64_t i = segment.begin; i < position && at < scan.end; i++) {
        if (jpeg.data[at++] != 0xFF) continue;
        while (at < scan.end && jpeg.data[at] == 0xFF) at++;
        if (at < scan.end && jpeg.data[at] != 0) return at - 1;  // a marker ends the segment
        at++;
    }
    return at < scan.end ? at : scan.end;
}

bool unstuff(Bytes jpeg, uint64_t begin, uint64_t interval_count, Unstuffed& out) {
    const uint64_t size = jpeg.size - begin;
    if (size > UINT32_MAX - unstuffed_padding || !out.bytes.reserve(size_t(size) + unstuffed_padding)) return false;
    uint8_t* const copy = out.bytes.data();
    if (!copy_scan(jpeg, begin, interval_count, kernels().copy_to_ff, copy, copy, out.segments, 0, out)) return false;
    std::memset(out.copy_end, 0, unstuffed_padding);
    return true;
}

}  // namespace jpegfreq
