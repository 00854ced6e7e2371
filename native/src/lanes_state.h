// What the lanes know besides their working memory: images, tables, and which lane does what.
#pragma once

#include "lanes.h"
#include "needed_mcus.h"
#include "sequential.h"

namespace jpegfreq {

struct TableSlot {
    LaneTable table;
    LaneEntry* entries = nullptr;  // code_levels tables in LaneMemory::tables
    int users = 0;
    uint64_t last_use = 0;
    bool built = false;
};

// An image of which at least one lane decodes a restart segment, or the only segment.
struct LaneImage {
    Job* job = nullptr;  // nullptr: free
    SequentialScan scan;
    NeededMcus needed;
    TableSlot* tables[2][max_components] = {};
    Unstuffed data;
    uint32_t next_segment = 0;
    uint32_t segment_count = 0;  // as many as the MCUs need
    int lanes = 0;               // that work on it
    bool failed = false;
    bool stream = false;  // Output::stream, and the planes lie so that it can be
    uint64_t serial = 0;
};

struct LaneWork {
    LaneImage* image = nullptr;
    uint64_t program_serial = 0;  // of the image whose program the lane holds
    uint64_t segment_end = 0;     // bytes
    uint64_t mcu = 0, mcu_end = 0;
    int chunk_mcus = 0;
    bool skipped = false;            // nobody needs the chunk's blocks
    int16_t* targets[chunk_blocks];  // of the chunk's blocks
    uint8_t components[chunk_blocks] = {};
    uint32_t dc[max_components] = {};
};

// What is left of a restart segment when it is the turn of split.cpp.
struct Rest {
    LaneImage* image = nullptr;
    Cursor cursor;
    uint64_t mcu_end = 0;
    uint64_t segment_end = 0;      // bytes
    uint64_t segment_mcu_end = 0;  // the MCU that the segment's data end at: `mcu_end`, or beyond
};

// A part of an image that is decoded alone (Note [Split], split.cpp).
struct Part {
    enum State { warming, running, joined, ended } state = ended;
    uint64_t begin = 0;             // bit where its kept blocks begin; known from `running` on
    uint64_t last_error = 0;        // bit
    uint64_t give_up = 0;           // bit: still warming there means it never will
    uint64_t mcu_end = UINT64_MAX;  // counts as cursor.mcu
    bool single = false;            // an MCU at a time, in order to stop where the next part begins
    bool keeps = true;              // its blocks, until they are placed; false: it writes to the planes
    Cursor cursor;                  // counts from the part's first MCU if the part keeps its blocks
    KeptBlocks memory = {};         // before it has kept anything
    KeptBlocks kept = {};           // after its last block
};

// When no more lanes than these have work, what is left of their images is decoded one image after the other (Note [Split]).
// With three left, the lanes do no worse.
constexpr int few_lanes = 2;

struct Lanes {
    LaneMemory memory;
    const LaneKernels& lane_kernels;
    const int lane_count;
    LaneWork work[max_lanes];
    LaneImage images[max_lanes];
    TableSlot slots[table_slots];
    TableCache plain_tables;  // for what is left where split makes no progress
    uint64_t clock = 0;
    alignas(64) int16_t spare[64];  // for padding blocks and blocks that the caller does not need

    explicit Lanes(const LaneKernels& kernels);
    // False: the lanes cannot decode this image; nothing was kept.
    bool open(Job& job, LaneImage& image, const Limits& limits, uint64_t most_bytes);
    void release(LaneImage& image);
    TableSlot* table(const HuffmanSpec& spec, bool is_dc);
    bool acquire(int lane, JobQueue& queue, const Limits& limits, Decoder* plain);
    bool start_segment(int lane, LaneImage& image);
    void set_program(int lane);
    void start_chunk(int lane);
    void aim(int lane, uint64_t mcu_y, uint64_t mcu_x);
    bool finish_chunk(int lane);
    // What is left of the lane's segment, from the end of its chunk on.
    Rest rest_of(int lane) const;
    // Gives the scan the tables of the plain loop.
    void name_tables(LaneImage& image);
    void leave(LaneImage& image, JobQueue& queue, const Limits& limits, Decoder* plain);
    void move(int from, int to);
    // Empties the lane's scratch after a chunk that failed, which may have left values beyond its blocks.
    void clean(int lane);
    // Until the queue is empty and all open images are done. Without `plain`, a damaged image is only marked, and the queue
    // must be empty from the start.
    void run(JobQueue& queue, const Limits& limits, Decoder* plain);
    // Has the lane read on from `bit` of its image's unstuffed bytes.
    void set_position(int lane, uint64_t bit);
    // How far the lane has read.
    uint64_t bit_position(int lane) const;

    // split.cpp
    // With `part_bytes` of memory for each part.
    bool decode_split(const Rest& rest, uint64_t part_bytes, RowSink* sink);
    bool decode_intervals(LaneImage& image, uint64_t part_bytes, RowSink& sink);
    bool decode_side_by_side(LaneImage& image, RowSink& sink);
    bool decode_window(const Rest& rest, Cursor& truth, RowSink* sink);
    void begin_chunk(int lane, Part& part, int mcus);
    bool end_chunk(int lane, Part* parts, int number, uint64_t window_end);
    void place(const Rest& rest, const Part& part, Cursor& truth, RowSink* sink);
    Buffer<uint64_t> part_memory;
    const KeepKernels* keep_kernels = nullptr;
    uint64_t part_words = 0;         // of a part's memory
    uint64_t kept_per_kilobyte = 0;  // bytes that the blocks of a kilobyte of the scan take in a part's memory
};

}  // namespace jpegfreq
