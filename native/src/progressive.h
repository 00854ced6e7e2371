// What the parts of the progressive decoder share: a scan's unstuffed data, its tables, the kernels' interface.
//
//   progressive.cpp           the order of work: scans -> state -> DC planes -> AC scans by bands of blocks -> planes
//   progressive_scan.cpp      unstuffing, restart segments, Huffman tables
//   progressive_kernels.h     the AC scans of T.81 G.1.2 (G.2), once, over a set of primitive operations
//   progressive_generic.cpp   ... in plain C++
//   progressive_avx2.cpp      ... with BMI2 and AVX2
//   progressive_avx512.cpp    ... with BMI2 and AVX-512
//   progressive_bmi2.h        what these two share
#pragma once

#include "huffman.h"
#include "unstuff.h"

namespace jpegfreq {

// Why a restart segment stopped before its last block.
enum class ScanFailure : uint8_t { none, bad_code, past_band, data_end };

// At least `read_ahead` zero bytes or other scans' data follow a segment: a reader may overrun it by a block (at most 63
// codes of 16 bits with 15 bits each) or an MCU of DC differences before it checks.
constexpr size_t read_ahead = 512;

// The entropy-coded data of a scan without stuffed zeros and markers, and where its reader stands. Scans that refine AC
// coefficients hold every byte bit-reversed: they are read from the low end, so that correction bits come in the order in
// which PDEP deals them out.
struct ScanData {
    ScanBytes source;
    const uint8_t* copies = nullptr;           // of all scans
    const RestartSegment* segments = nullptr;  // of this one
    uint32_t next_segment = 0;
    uint32_t restart_interval = 0;

    // bits_left bits of `bits` are unread; `next` is the first byte not yet counted among them.
    const uint8_t* next = nullptr;
    const uint8_t* segment_end = nullptr;
    uint64_t bits = 0;
    uint32_t bits_left = 0;
    ScanFailure failure = ScanFailure::none;

    // Moves the reader to the next segment.
    void enter_segment() {
        const RestartSegment& segment = segments[next_segment++];
        next = copies + segment.begin;
        segment_end = copies + segment.end;
        bits = 0;
        bits_left = 0;
        failure = ScanFailure::none;
    }
    bool has_next_segment() const { return next_segment < source.segment_count; }
    // The present segment is whole, but what ended it is not the restart marker that belongs there.
    bool ended_by_another_marker() const {
        return next_segment > 0 && failure == ScanFailure::none && segments[next_segment - 1].ended_by_marker;
    }
    // The first MCU of the next segment, or `end` if there is none.
    uint64_t next_mcu(uint64_t end) const {
        if (!has_next_segment()) return end;
        const uint64_t mcu = uint64_t(segments[next_segment].interval) * restart_interval;
        return mcu < end ? mcu : end;
    }
};

// Copies with every byte bit-reversed: a CopyToFf.
size_t copy_reversed_to_ff(const uint8_t* in, const uint8_t* end, uint8_t* out);

// Note [Scan tables]
// An entry decodes the next table_bits bits: a code and, if they fit, the bits that follow it.
// First scans:
//   bits 0-5     how many bits it takes
//   bits 8-15    how far k moves: run + 1; end_of_band; bad_advance; plus `apart`
//   bits 16-31   the coefficient (int16), shifted by Al; or how many more blocks end here
// Refinements:
//   bits 0-15    1 << run; or how many blocks end here, this one included
//   bits 16-19   flags
//   bits 20-23   run
//   bits 26-31   how many bits it takes
// Where not everything fits, the entry has its `apart` flag and holds the symbol; it takes 0 bits if the code alone is too long.
// In first scans so do coefficients of value 0 (ZRL), so that the common path marks its coefficient without a look.
constexpr uint32_t end_of_band = 64;  // more than any k: one comparison finds the last coefficient, the end and errors
constexpr uint32_t bad_advance = 127;
constexpr uint32_t first_apart = 0x8000;
constexpr uint32_t refine_negative = 1u << 16;
constexpr uint32_t refine_new = 1u << 17;  // not set for ZRL: the run ends at a coefficient that stays zero
constexpr uint32_t refine_end = 1u << 18;
constexpr uint32_t refine_apart = 1u << 19;
constexpr uint32_t refine_special = refine_end | refine_apart;
constexpr uint32_t refine_run_shift = 20;
constexpr uint32_t refine_length_shift = 26;

struct ScanTable : LongCodes {
    uint32_t entries[1 << table_bits];
};

void build_first_table(const HuffmanSpec& spec, uint32_t Al, ScanTable& table);
void build_refinement_table(const HuffmanSpec& spec, ScanTable& table);

struct AcScan {
    ScanData data;
    uint8_t component = 0;
    uint8_t Ss = 0, Se = 0, Ah = 0, Al = 0;
    uint32_t number = 0;           // of the scan in the file
    uint32_t end_of_band_run = 0;  // blocks that end before a symbol is read: EOBRUN
    uint32_t segment_stop = 0;     // the block at which the present segment's interval ends
    uint32_t lost_until = 0;       // blocks before this one are lost: the next segment begins there
    ScanTable table;
};

// blocks: int16[64] each, in the order that suits these kernels; maps: a bit for each coefficient, in zigzag order, that is
// not zero. Both cover `count` blocks, which lie in one restart segment. Decodes the scan's next blocks; returns how many, and sets data.failure where that is not all.
// A block that fails is left as it was.
struct AcKernels {
    uint32_t (*first)(AcScan& scan, int16_t* blocks, uint64_t* maps, uint32_t count);
    uint32_t (*refine)(AcScan& scan, int16_t* blocks, uint64_t* maps, uint32_t count);
    // Writes blocks in natural order with their DC coefficients to `plane`; zeroes blocks and maps.
    void (*emit)(int16_t* blocks, uint64_t* maps, const int16_t* dc, int16_t* plane, uint32_t count);
};

extern const AcKernels ac_kernels_generic;
extern const AcKernels ac_kernels_avx2;
extern const AcKernels ac_kernels_avx512;

}  // namespace jpegfreq
