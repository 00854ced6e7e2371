// The whole contract of the native core: JPEG bytes in, quantized DCT coefficients out.
//
// Nothing here throws, prints, exits or allocates per block. Every function returns a Status by value and writes into the
// caller's buffers. The core knows no Python. Clauses are those of ITU-T T.81.
#pragma once

#include <cstddef>
#include <cstdint>

namespace jpegfreq {

template <class T>
struct Span {
    T* data = nullptr;
    size_t size = 0;
};
using Bytes = Span<const uint8_t>;

enum class Code : uint8_t { ok, malformed, truncated, unsupported, out_of_memory };

// What went wrong, where, and which rule it broke. All strings are static. `message` may hold one "{}", to be replaced
// by `detail`. Printed as: "DHT at byte 177: codes of length 9 overflow the tree (T.81 C.2)".
struct Status {
    Code code = Code::ok;
    const char* segment = "";  // marker name: "DHT", "SOS", "scan data"; may be empty
    const char* message = "";
    const char* clause = "";  // "C.2"; empty where no clause of T.81 applies
    uint64_t offset_bytes = 0;
    int64_t detail = 0;

    bool ok() const { return code == Code::ok; }
};

// Longest list of damaged places that is kept for one image.
constexpr size_t max_damages = 256;

// T.81 table B.1. The value is n of SOF_n.
enum class Process : uint8_t {
    baseline = 0,
    extended = 1,
    progressive = 2,
    lossless = 3,
    arithmetic_extended = 9,
    arithmetic_progressive = 10,
};

constexpr bool is_arithmetic(Process process) {
    return process == Process::arithmetic_extended || process == Process::arithmetic_progressive;
}
constexpr bool is_progressive(Process process) {
    return process == Process::progressive || process == Process::arithmetic_progressive;
}
constexpr bool is_huffman_sequential(Process process) {
    return process == Process::baseline || process == Process::extended;
}
// Whether Decoder::read_rows() takes files of this process.
constexpr bool comes_in_rows(Process process) {
    return is_huffman_sequential(process) || process == Process::progressive;
}

// By libjpeg's rules (JFIF and Adobe markers, else component identifiers).
enum class ColorKind : uint8_t { grey, ycbcr, rgb, cmyk, ycck, unknown };

constexpr int max_components = 4;
constexpr int blocks_per_mcu_limit = 10;            // T.81 B.2.3
constexpr uint64_t default_max_pixels = 178956970;  // Pillow's

struct Component {
    uint8_t identifier = 0;                  // C_i
    uint8_t horizontal_sampling_factor = 1;  // H_i
    uint8_t vertical_sampling_factor = 1;    // V_i
    uint8_t quantization_table_id = 0;       // Tq_i
    uint32_t blocks_high = 0;                // T.81 A.1.1: without the padding blocks of the last MCUs
    uint32_t blocks_wide = 0;
};

struct Header {
    uint32_t height = 0;  // pixels; from DNL where the SOF says 0 (T.81 B.2.5)
    uint32_t width = 0;
    uint8_t precision = 8;
    Process process = Process::baseline;
    ColorKind color = ColorKind::unknown;
    uint8_t orientation = 1;  // EXIF tag 0x0112, 1..8
    uint8_t component_count = 0;
    uint8_t max_horizontal_sampling_factor = 1;
    uint8_t max_vertical_sampling_factor = 1;
    Component components[max_components];
    uint32_t restart_interval = 0;    // MCUs; the one in force at the first scan
    uint64_t frame_offset_bytes = 0;  // of the SOF marker
};

struct Limits {
    uint64_t max_pixels = default_max_pixels;
    uint32_t max_scans = 100;  // progressive; real files have at most 18
};

// Blocks [row_begin, row_end) x [column_begin, column_end) of a component.
struct BlockRange {
    uint32_t row_begin = 0, row_end = 0, column_begin = 0, column_end = 0;
};

struct Output;

// Takes rows of blocks as they are decoded, so that no whole plane is needed.
class RowSink {
public:
    virtual ~RowSink() = default;
    // The component's block rows before `end` are decoded, those since the last call for the first time. The tables of
    // `output` are set. Rows of all components may come together, or one component after the other.
    virtual void rows(const Output& output, int component, uint32_t end) = 0;
};

// Where the coefficients go. planes[c] holds blocks_high * blocks_wide * 64 int16 of component c: quantized, natural order
// [block row][block column][v][u]. The decoder always writes all of them, except those that `needed` leaves out.
struct Output {
    int16_t* planes[max_components] = {};
    uint16_t quantization_tables[max_components][64] =
        {};  // natural order, the one in force at the component's first scan
    // Sequential single-scan files may stop early: decode MCU rows [0, mcu_rows) only; blocks below are zero. 0 = all.
    uint32_t mcu_rows = 0;
    // The blocks of each component that will be read; the decoder may leave anything in the others. No rows = all blocks.
    BlockRange needed[max_components] = {};
    // The planes hold nothing else: a row of planes[c] is as long as needed[c] is wide, and planes[c] is where block (0, 0) would
    // be. Only Decoder::decode_jobs() takes that.
    bool needed_only = false;
    // For Decoder::read_rows(): planes hold only so many MCU rows; row r stands where row r + held_mcu_rows will. 0 = all.
    uint32_t held_mcu_rows = 0;
    // A hint: Decoder::decode_jobs() may use non-temporal stores. They pay if other images' coefficients would push these out of the
    // caches before they are read.
    bool stream = false;
};

// Block rows of a component in a row of MCUs. T.81 A.2.2: the MCU of a scan with one component is one block, whatever its
// sampling factors.
inline uint32_t mcu_height(const Header& header, int component) {
    return header.component_count == 1 ? 1 : header.components[component].vertical_sampling_factor;
}

// How many blocks a row of planes[component] has.
inline uint32_t row_blocks(const Header& header, const Output& output, int component) {
    const BlockRange& needed = output.needed[component];
    return output.needed_only ? needed.column_end - needed.column_begin : header.components[component].blocks_wide;
}

// Where block (0, 0) would be of a plane that holds only the `needed` blocks.
inline int16_t* plane_of(int16_t* blocks, const BlockRange& needed) {
    const uint64_t row = needed.column_end - needed.column_begin;
    const uint64_t before = needed.row_begin * row + needed.column_begin;
    return reinterpret_cast<int16_t*>(reinterpret_cast<uintptr_t>(blocks) - uintptr_t(before * 128));
}

// Reads up to the first SOS (and, where the SOF says 0 lines, on to the DNL).
Status read_header(Bytes jpeg, Header& header);

// Before allocating: that the image has no more than max_pixels, and that the data can hold the blocks the header promises
// (Huffman-coded files). read_coefficients itself refuses only the first.
Status check_promise(Bytes jpeg, const Header& header, const Limits& limits);

class JobQueue;

// Scratch of one thread, reused between images. Opaque: decoder.cpp.
class Decoder {
public:
    Decoder();
    ~Decoder();
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    // `header` is what read_header gave for the same bytes. Returns the first error. Decoding continues after an error at
    // the next restart marker and at the next scan; what could not be decoded is zero.
    Status read_coefficients(Bytes jpeg, const Header& header, const Limits& limits, Output& output);

    // The same into the last `output.held_mcu_rows` MCU rows of each plane, which `sink` sees in time. Takes only sound files
    // of one Huffman-coded sequential scan, or of Huffman-coded progressive scans; false: not this one, and what `sink` has
    // seen is void. Nothing says why: read_coefficients() does.
    bool read_rows(Bytes jpeg, const Header& header, const Limits& limits, Output& output, RowSink& sink);

    // Every error of the last read_coefficients(), in the order of the file; valid until the next call. Each is a damaged
    // restart interval, or the rest of a scan without restarts. After max_damages the last one counts the others.
    Span<const Status> damages();

    // Decodes on the calling thread until the queue is empty; several images side by side if the machine gains by it. The
    // queue's methods may be called by several threads at once, each with a Decoder of its own. They may call this Decoder, too.
    void decode_jobs(JobQueue& queue, const Limits& limits);

private:
    struct Scratch;
    Scratch* scratch_;
};

struct Job {
    Bytes jpeg;
    Header header;
    Output output;
    // Takes the image row by row where Decoder::read_rows() can decode it; the planes are for that then.
    RowSink* sink = nullptr;
    Status status;
    Span<const Status> damages;  // as Decoder::damages(); valid during JobQueue::done()
    void* user = nullptr;
};

// Where a thread of a batch gets its images and gives them back. next() returns nullptr when there is none left.
// done() is called once per image, on the thread that decoded it, with job.status set.
class JobQueue {
public:
    virtual ~JobQueue() = default;
    virtual Job* next() = 0;
    // A job with a sink cannot be decoded row by row, or one with Output::needed_only not in lanes: gives it whole planes.
    // Sink and needed_only are gone.
    virtual Status give_planes(Job&) { return {}; }
    virtual void done(Job& job) = 0;
};

// How many MCU rows read_rows() wants to hold.
uint32_t mcu_rows_to_hold(const Header& header);

// Instruction set that run-time dispatch chose: a name in dispatch.cpp.
const char* instruction_set();

}  // namespace jpegfreq
