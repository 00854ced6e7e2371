// Huffman-coded sequential scans (T.81 F.2): one stream at a time.
#pragma once

#include "damages.h"
#include "huffman.h"
#include "unstuff.h"

namespace jpegfreq {

struct ScanBlock {      // one block of an MCU
    uint8_t component;  // index into SequentialScan::components
    uint8_t x, y;       // within the MCU, blocks
};

struct SequentialScan {
    struct Part {
        const HuffmanTable* dc;
        const HuffmanTable* ac;
        int16_t* plane;
        uint32_t row_blocks;            // that a row of the plane has
        uint32_t blocks_high;           // of the component
        uint8_t mcu_width, mcu_height;  // blocks
        BlockRange needed;              // no others are written
    };
    int component_count = 0;
    Part components[max_components];
    int blocks_per_mcu = 0;
    ScanBlock blocks[blocks_per_mcu_limit];
    uint32_t mcus_wide = 0, mcus_high = 0;
    uint32_t held_mcu_rows = 0;  // that the planes have, and go around in; all, unless a RowSink takes them
    uint64_t held_mcus() const { return uint64_t(held_mcu_rows) * mcus_wide; }
    uint64_t mcu_end = 0;      // decode [0, mcu_end): less than all for an early stop
    bool stops_early = false;  // nothing after this scan is read
    uint32_t restart_interval = 0;
    bool merge =
        false;  // a component that an earlier scan has coded: keep what this scan does not touch, as libjpeg does
};

enum class Stop : uint8_t { done, overrun, bad_code, past_63 };

// Where a restart segment's decoding stands: the next MCU, its first bit (from the beginning of Unstuffed::bytes) and the
// DC predictions.
struct Cursor {
    uint64_t mcu = 0;
    uint64_t bit_position = 0;
    uint32_t dc[max_components] = {};
};

// Decodes up to `mcu_end` from the segment that ends at byte `end` of `bytes` (padded). On a stop cursor.mcu is the MCU it
// happened in, which holds part of its data.
using DecodeSegment = Stop (*)(const SequentialScan& scan, const uint8_t* bytes, uint64_t end, uint64_t mcu_end,
                               Cursor& cursor);
Stop decode_segment_generic(const SequentialScan& scan, const uint8_t* bytes, uint64_t end, uint64_t mcu_end,
                            Cursor& cursor);
Stop decode_segment_avx2(const SequentialScan& scan, const uint8_t* bytes, uint64_t end, uint64_t mcu_end,
                         Cursor& cursor);

// Tables of the scans of one thread, rebuilt only where the DHT's content differs from what a slot holds.
struct TableCache {
    HuffmanSpec specs[2][4];
    HuffmanTable tables[2][4];
    const HuffmanTable* get(const HuffmanSpec& spec, bool is_dc, int id);
};

bool same_codes(const HuffmanSpec& a, const HuffmanSpec& b);
bool same_geometry(const Header& a, const Header& b);

// Fills `scan` from what the parser read: where its blocks go. The tables are the caller's.
void place_scan(const Header& header, const Scan& parsed, const Output& output, uint32_t components_decoded,
                SequentialScan& scan);

// Zeroes the needed blocks of MCUs [begin, end). With end = all_mcus also those below the last MCU that is decoded.
constexpr uint64_t all_mcus = UINT64_MAX;
void zero_blocks(const SequentialScan& scan, uint64_t begin, uint64_t end);

// Decodes the restart segments one after the other. What is damaged or missing becomes zero and an entry of `damages`.
void decode_sequential_scan(Bytes jpeg, const SequentialScan& scan, const Unstuffed& data, uint32_t scan_number,
                            Damages& damages);

}  // namespace jpegfreq
