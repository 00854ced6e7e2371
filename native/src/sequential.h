// Huffman-coded sequential scans (T.81 F.2): one stream at a time.
#pragma once

#include "huffman.h"
#include "unstuff.h"

namespace jpegfreq {

struct ScanBlock {  // one block of an MCU
    uint8_t component;  // index into SequentialScan::components
    uint8_t x, y;       // within the MCU, blocks
};

struct SequentialScan {
    struct Part {
        const HuffmanTable* dc;
        const HuffmanTable* ac;
        int16_t* plane;
        uint32_t blocks_wide, blocks_high;
        uint8_t mcu_width, mcu_height;  // blocks
    };
    int component_count = 0;
    Part components[max_components];
    int blocks_per_mcu = 0;
    ScanBlock blocks[blocks_per_mcu_limit];
    uint32_t mcus_wide = 0, mcus_high = 0;
    uint64_t mcu_end = 0;      // decode [0, mcu_end): less than all for an early stop
    uint32_t restart_interval = 0;
    bool merge = false;        // a component that an earlier scan has coded: keep what this scan does not touch, as libjpeg does
};

enum class Stop : uint8_t { done, overrun, bad_code, past_63 };

struct SegmentResult {
    Stop stop = Stop::done;
    uint64_t mcu = 0;           // first MCU that was not decoded
    uint64_t bit_position = 0;  // where reading stopped, bits from the beginning of Unstuffed::bytes
};

// Decodes MCUs [mcu_begin, mcu_end) from one restart segment, bytes [begin, end) of `bytes` (padded). On a stop the MCU it
// happened in is not touched any more and holds part of its data.
SegmentResult decode_segment_generic(const SequentialScan& scan, const uint8_t* bytes, uint64_t begin, uint64_t end,
                                     uint64_t mcu_begin, uint64_t mcu_end);
SegmentResult decode_segment_avx2(const SequentialScan& scan, const uint8_t* bytes, uint64_t begin, uint64_t end,
                                  uint64_t mcu_begin, uint64_t mcu_end);

// Tables of the scans of one thread, rebuilt only where the DHT's content differs from what a slot holds.
struct TableCache {
    HuffmanSpec specs[2][4];
    HuffmanTable tables[2][4];
    const HuffmanTable* get(const HuffmanSpec& spec, bool is_dc, int id);
};

// Fills `scan` from what the parser read.
void prepare_scan(const Header& header, const Scan& parsed, const Tables& tables, const Output& output, TableCache& cache,
                  uint32_t components_decoded, SequentialScan& scan);

// Zeroes the blocks of MCUs [mcu_begin, all).
void zero_blocks(const SequentialScan& scan, uint64_t mcu_begin);

// Decodes all restart segments one after the other; zeroes what is left on an error.
Status decode_sequential_scan(Bytes jpeg, const SequentialScan& scan, const Unstuffed& data);

}  // namespace jpegfreq
