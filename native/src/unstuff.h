// Entropy-coded data without byte stuffing (T.81 B.1.1.5), split at the restart markers.
#pragma once

#include "buffer.h"
#include "markers.h"

namespace jpegfreq {

// Zero bytes behind the copy: more than one MCU's or one chunk's worst case can read, so that overruns are found by
// comparing positions afterwards instead of at every read.
constexpr size_t unstuffed_padding = 16384;

struct Unstuffed {
    Buffer<uint8_t> bytes;
    Buffer<uint32_t> segments;  // where restart segment i begins in `bytes`; segment_count + 1 entries
    uint32_t segment_count = 0;
    uint64_t begin = 0;          // offset of the data in the file
    uint64_t end = 0;            // offset of the marker that ended the data; the file's size where there was none
    bool wrong_restart = false;  // `end` is a restart marker out of order (E.2.4)
};

// Copies the data from `begin` to the first marker that is not the expected RSTm. Without restarts every RSTm ends the data.
// False: out of memory.
bool unstuff(Bytes jpeg, uint64_t begin, bool restarts, Unstuffed& out);

// The file offset of the byte that stands at `position` of out.bytes. For error messages.
uint64_t file_offset(Bytes jpeg, const Unstuffed& out, uint64_t position);

// Copies bytes up to the first 0xFF or `end`; returns how many. `out` has 32 bytes of room behind what is copied.
size_t copy_to_ff_generic(const uint8_t* in, const uint8_t* end, uint8_t* out);
size_t copy_to_ff_avx2(const uint8_t* in, const uint8_t* end, uint8_t* out);

}  // namespace jpegfreq
