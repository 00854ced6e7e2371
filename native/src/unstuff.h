// Entropy-coded data without byte stuffing (T.81 B.1.1.5), cut at the restart markers.
#pragma once

#include "buffer.h"
#include "markers.h"

namespace jpegfreq {

// The data of one restart interval; the only one of a scan without restarts.
struct RestartSegment {
    uint32_t begin = 0, end = 0;   // in the copy
    uint32_t offset_bytes = 0;     // of the first byte in the file, counted from the scan's data
    uint32_t interval = 0;         // which interval the markers say that it is; ascends from segment to segment
    bool ended_by_marker = false;  // by another marker than the RSTm of the next segment
};

// Note [Restart order]
// RSTm ends every interval, and m counts modulo 8 (E.1.4). A damaged file can lack markers and data, so the segment after
// a marker with the wrong number need not be the next interval. The number of the marker after it decides:
// - it continues the count as if the wrong number were right: that one marker is misnumbered, and nothing is lost;
// - it is the expected number itself: the wrong marker is extra, and so is what follows it up to the next marker;
// - otherwise as many intervals are missing as the number says.
// Bytes that remain before a marker are skipped, as libjpeg does: the interval is already complete.
struct ScanBytes {
    uint32_t segment_count = 0;
    uint8_t* copy_end = nullptr;
    uint64_t begin = 0;   // offset of the data in the file
    uint64_t end = 0;     // offset of the marker that ended the data; the file's size if none did
    bool regular = true;  // segment i is interval i, and no other marker stands among the data
};

// Copies bytes up to the first 0xFF or `end` and returns how many. `out` has 32 bytes of room after them.
using CopyToFf = size_t (*)(const uint8_t* in, const uint8_t* end, uint8_t* out);

// Copies the data of a scan with `interval_count` restart intervals (1: no restarts) from offset `begin` on. `copy` has
// room for the rest of the file and 32 bytes more. Segments go to segments[first_segment...]; `begin` and `end` of each
// count from `base`. False: out of memory.
bool copy_scan(Bytes jpeg, uint64_t begin, uint64_t interval_count, CopyToFf copy_run, const uint8_t* base,
               uint8_t* copy, Buffer<RestartSegment>& segments, size_t first_segment, ScanBytes& out);

// The file offset of byte `position` of the copy, which belongs to `segment`. For error messages.
uint64_t file_offset(Bytes jpeg, const ScanBytes& scan, const RestartSegment& segment, uint64_t position);

// Zero bytes after the copy: more than one MCU or one chunk can read in the worst case, so that overruns are found by
// comparing positions afterwards instead of at every read.
constexpr size_t unstuffed_padding = 16384;

struct Unstuffed : ScanBytes {
    Buffer<uint8_t> bytes;
    Buffer<RestartSegment> segments;

    // Gives back what an image needed whose data take more than `most_bytes`.
    void trim(size_t most_bytes = 4 << 20) {
        bytes.trim(most_bytes);
        segments.trim(most_bytes / 4);
    }
};

// The data of a sequential scan. False: out of memory, or more than 4 GB.
bool unstuff(Bytes jpeg, uint64_t begin, uint64_t interval_count, Unstuffed& out);

size_t copy_to_ff_generic(const uint8_t* in, const uint8_t* end, uint8_t* out);
size_t copy_to_ff_avx2(const uint8_t* in, const uint8_t* end, uint8_t* out);

}  // namespace jpegfreq
