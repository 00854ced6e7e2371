// The progressive process (T.81 G.1, SOF2), 8 and 12 bit.
//
// All scans are read first. DC scans, which interleave components, go to a plane of DC coefficients of their own; of an AC
// scan, which has one component (G.1.1.1.1), the data and the table are kept. Then each component is decoded by bands of
// blocks: all its AC scans in the order of the file over one buffer, which goes to the plane when the last has passed.
//
// Note [Bounded work]
// A scan may end 32767 blocks with one code, so a file's size does not bound the visits to its blocks. The state of each
// coefficient does (first visit at Ah = 0, then one bit lower each time, G.1.1.1.2: 14 scans of 63 bands), and limits.max_scans
// does; and over a whole file a block may be visited 32 times (more than any real file's), plus 64 times a byte of the file.
// Visits that read no bits cost about a nanosecond.
//
// Note [Errors]
// The first error in the order of the file is reported. A scan stops at the block in which it fails, and so do the later scans
// of its component; no scan is read behind a DC scan that fails. All that was decoded stands in the planes.
#include <cstdlib>
#include <cstring>
#include <new>

#include "dispatch.h"
#include "progression.h"
#include "progressive_kernels.h"
#include "scan_decoders.h"

namespace jpegfreq {

// A band's coefficients stay in the second-level cache while all scans pass over them.
constexpr uint32_t band_blocks = 1024;
constexpr uint64_t visits_per_block = 32;
constexpr uint64_t visits_per_byte = 64;
// What is kept between images: a buffer over this size is given back.
constexpr size_t kept_bytes = 1 << 20;

namespace {

struct Buffer {
    uint8_t* data = nullptr;
    size_t size = 0;

    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(data); }

    // Keeps the contents. False: out of memory, all as before.
    bool grow(size_t wanted) {
        if (wanted <= size) return true;
        void* larger = std::realloc(data, wanted);
        if (!larger) return false;
        data = static_cast<uint8_t*>(larger);
        size = wanted;
        return true;
    }
    void give_back_surplus() {
        if (size <= kept_bytes) return;
        std::free(data);
        data = nullptr;
        size = 0;
    }
};

Status make_status(Code code, const char* segment, uint64_t offset, const char* message, const char* clause,
                   int64_t detail = 0) {
    Status status;
    status.code = code;
    status.segment = segment;
    status.message = message;
    status.clause = clause;
    status.offset_bytes = offset;
    status.detail = detail;
    return status;
}

Status out_of_memory() { return make_status(Code::out_of_memory, "", 0, "no memory for the decoder's buffers", ""); }

Status failure_status(Bytes jpeg, const ScanData& data) {
    const uint64_t end = data.end_offset_bytes;
    switch (data.failure) {
        case ScanFailure::none: return Status();
        case ScanFailure::bad_code:
            return make_status(Code::malformed, "scan data", reader_offset(jpeg, data),
                               "no Huffman code of the table, or a value it may not have", "G.2.2");
        case ScanFailure::past_band:
            return make_status(Code::malformed, "scan data", reader_offset(jpeg, data),
                               "a run leaves the spectral band", "G.2.2");
        case ScanFailure::surplus:
            return make_status(Code::malformed, "scan data", reader_offset(jpeg, data),
                               "surplus bytes at the end of restart interval {}", "E.2.4", data.segments_read - 1);
        case ScanFailure::data_end:
        case ScanFailure::no_restart: break;
    }
    if (data.copy_end != data.segment_end)
        return make_status(Code::malformed, "scan data", reader_offset(jpeg, data), "restart interval {} ends early",
                           "E.2.4", data.segments_read - 1);
    if (end >= jpeg.size)
        return make_status(Code::truncated, "scan data", jpeg.size, "the data end inside the scan", "E.2.3");
    const uint8_t marker = jpeg.data[end + 1];
    if ((marker & 0xF8) == 0xD0)
        return make_status(Code::malformed, "scan data", end, "restart marker {} is out of order", "E.2.4", marker & 7);
    return make_status(Code::truncated, "scan data", end, "marker {} before the scan's last block", "E.2.3", marker);
}

uint64_t block_count(const Component& component) { return uint64_t(component.blocks_high) * component.blocks_wide; }

}  // namespace

class ProgressiveScratch {
public:
    Status decode(MarkerReader& reader, const Header& header, const Limits& limits, Output& output);

private:
    bool reserve(const Header& header, size_t data_bytes);
    Status read_scans(MarkerReader& reader, const Header& header, const Limits& limits);
    Status read_scan(const MarkerReader& reader, const Header& header, const Scan& scan, uint64_t& end_offset);
    Status decode_dc(const MarkerReader& reader, const Header& header, const Scan& scan, ScanData& data);
    template <bool refine>
    void decode_dc_blocks(const Header& header, const Scan& scan, ScanData& data);
    void decode_component(const Component& component, int index, int16_t* plane);
    AcScan* ac_scans() { return reinterpret_cast<AcScan*>(scans_.data); }

    Buffer copies_;  // of the scans' data
    Buffer scans_;   // AcScan[scan_count_]
    Buffer dc_;      // int16 a block, component after component
    Buffer band_;    // int16[64] a block, then a map a block; all zero between bands
    uint8_t* copies_end_ = nullptr;
    size_t scan_count_ = 0;
    int16_t* dc_planes_[max_components] = {};
    ScanTable dc_tables_[max_components];
};

ProgressiveScratch* new_progressive_scratch() { return new (std::nothrow) ProgressiveScratch(); }
void delete_progressive_scratch(ProgressiveScratch* scratch) { delete scratch; }

bool ProgressiveScratch::reserve(const Header& header, size_t data_bytes) {
    uint64_t blocks = 0;
    for (int c = 0; c < header.component_count; c++) blocks += block_count(header.components[c]);
    // A restart marker of 2 bytes becomes a segment's size of 4.
    if (!copies_.grow(2 * data_bytes + read_ahead) || !dc_.grow(blocks * sizeof(int16_t))) return false;
    if (!band_.data) {
        if (!band_.grow(band_blocks * (64 * sizeof(int16_t) + sizeof(uint64_t)))) return false;
        std::memset(band_.data, 0, band_.size);
    }
    std::memset(dc_.data, 0, blocks * sizeof(int16_t));
    copies_end_ = copies_.data;
    scan_count_ = 0;
    int16_t* plane = reinterpret_cast<int16_t*>(dc_.data);
    for (int c = 0; c < header.component_count; c++) {
        dc_planes_[c] = plane;
        plane += block_count(header.components[c]);
    }
    return true;
}

Status ProgressiveScratch::decode(MarkerReader& reader, const Header& header, const Limits& limits, Output& output) {
    // Segment sizes have 32 bits.
    const bool too_large = reader.jpeg().size > UINT32_MAX;
    if (too_large || !reserve(header, reader.jpeg().size - reader.position())) {
        for (int c = 0; c < header.component_count; c++)
            std::memset(output.planes[c], 0, block_count(header.components[c]) * 64 * sizeof(int16_t));
        return too_large ? make_status(Code::unsupported, "", 0, "a progressive file of 4 GB or more", "")
                         : out_of_memory();
    }
    Status status = read_scans(reader, header, limits);
    for (int c = 0; c < header.component_count; c++) decode_component(header.components[c], c, output.planes[c]);
    // Every AC scan stands before whatever ended the reading of scans.
    for (size_t i = scan_count_; i-- > 0;)
        if (ac_scans()[i].data.failure != ScanFailure::none) status = failure_status(reader.jpeg(), ac_scans()[i].data);
    copies_.give_back_surplus();
    scans_.give_back_surplus();
    dc_.give_back_surplus();
    return status;
}

Status ProgressiveScratch::read_scans(MarkerReader& reader, const Header& header, const Limits& limits) {
    Progression progression;
    uint64_t visits_left = visits_per_byte * reader.jpeg().size;
    for (int c = 0; c < header.component_count; c++)
        visits_left += visits_per_block * block_count(header.components[c]);
    for (uint32_t count = 0;; count++) {
        Scan scan;
        bool found = false;
        Status status = reader.next_scan(header, scan, found);
        if (!status.ok()) return status;
        if (!found) break;
        if (count == limits.max_scans)
            return make_status(Code::unsupported, "SOS", scan.offset_bytes, "more than {} scans (max_scans)", "",
                               limits.max_scans);
        status = progression.visit(scan);
        if (!status.ok()) return status;
        uint64_t visits = 0;
        for (int i = 0; i < scan.component_count; i++)
            visits += block_count(header.components[scan.components[i].index]);
        if (visits > visits_left)
            return make_status(Code::unsupported, "SOS", scan.offset_bytes,
                               "more scans than a file of {} bytes may have", "", int64_t(reader.jpeg().size));
        visits_left -= visits;
        uint64_t end_offset = scan.data_offset_bytes;
        status = read_scan(reader, header, scan, end_offset);
        reader.seek(end_offset);
        if (!status.ok()) return status;
    }
    if (!reader.saw_eoi() && !progression.complete(header))
        return make_status(Code::truncated, "EOI", reader.jpeg().size, "the data end before the last scan", "B.2.1");
    return check_complete(reader, header, reader.components_seen());
}

Status ProgressiveScratch::read_scan(const MarkerReader& reader, const Header& header, const Scan& scan,
                                     uint64_t& end_offset) {
    ScanData data;
    data.reversed = scan.Ss > 0 && scan.Ah > 0;
    data.offset_bytes = scan.offset_bytes;
    data.data_offset_bytes = scan.data_offset_bytes;
    data.restart_interval = scan.restart_interval;
    copies_end_ = copy_scan_data(reader.jpeg(), data, copies_end_);
    std::memset(copies_end_, 0, read_ahead);
    end_offset = data.end_offset_bytes;
    if (scan.Ss == 0) return decode_dc(reader, header, scan, data);

    const size_t needed = (scan_count_ + 1) * sizeof(AcScan);
    if (needed > scans_.size && !scans_.grow(2 * needed)) return out_of_memory();
    AcScan& ac = *::new (ac_scans() + scan_count_++) AcScan();
    ac.data = data;
    ac.component = scan.components[0].index;
    ac.Ss = scan.Ss;
    ac.Se = scan.Se;
    ac.Ah = scan.Ah;
    ac.Al = scan.Al;
    const HuffmanSpec& spec = reader.tables().ac[scan.components[0].ac_table];
    if (scan.Ah == 0) {
        build_first_table(spec, scan.Al, ac.table);
    } else {
        build_refinement_table(spec, ac.table);
    }
    return Status();
}

Status ProgressiveScratch::decode_dc(const MarkerReader& reader, const Header& header, const Scan& scan,
                                     ScanData& data) {
    if (scan.Ah == 0) {
        for (int i = 0; i < scan.component_count; i++)
            build_first_table(reader.tables().dc[scan.components[i].dc_table], 0, dc_tables_[i]);
        decode_dc_blocks<false>(header, scan, data);
    } else {
        decode_dc_blocks<true>(header, scan, data);
    }
    return failure_status(reader.jpeg(), data);
}

// G.1.2.1: the sequential coding of DC differences, of values without their Al low bits; then bit Al of each.
template <bool refine>
void ProgressiveScratch::decode_dc_blocks(const Header& header, const Scan& scan, ScanData& data) {
    struct Block {
        int16_t* row = nullptr;
        uint32_t columns = 0;  // A.2.3: the blocks that fill up the last MCUs of a row and of the image are dropped
        uint8_t part = 0, x = 0, y = 0, wide = 1, high = 1;
    };
    Block blocks[blocks_per_mcu_limit];
    uint32_t block_count = 0;
    for (uint8_t part = 0; part < scan.component_count; part++) {
        const Component& component = header.components[scan.components[part].index];
        Block block;
        block.part = part;
        if (scan.component_count > 1) {
            block.wide = component.horizontal_sampling_factor;
            block.high = component.vertical_sampling_factor;
        }
        for (block.y = 0; block.y < block.high; block.y++)
            for (block.x = 0; block.x < block.wide; block.x++) blocks[block_count++] = block;
    }
    BitReader reader(data);
    ScanFailure failure = ScanFailure::none;
    uint32_t prediction[max_components] = {};  // modulo 2^32, as only 16 bits of it are kept
    uint32_t until_restart = data.restart_interval;
    for (uint32_t row = 0; row < scan.mcus_high; row++) {
        for (uint32_t i = 0; i < block_count; i++) {
            const int index = scan.components[blocks[i].part].index;
            const uint32_t y = row * blocks[i].high + blocks[i].y;
            blocks[i].columns = y < header.components[index].blocks_high ? header.components[index].blocks_wide : 0;
            blocks[i].row = dc_planes_[index] + size_t(y) * blocks[i].columns;
        }
        for (uint32_t column = 0; column < scan.mcus_wide; column++) {
            if (data.restart_interval && until_restart-- == 0) {
                reader.save(data);
                if (!next_segment(data)) return;
                until_restart = data.restart_interval - 1;
                reader = BitReader(data);
                for (uint32_t& value : prediction) value = 0;
            }
            if (refine) refill_high(reader);  // a bit a block
            for (uint32_t i = 0; i < block_count; i++) {
                const Block& block = blocks[i];
                const uint32_t x = column * block.wide + block.x;
                uint32_t value;
                if (refine) {
                    value = take_high(reader, 1) << scan.Al;
                } else {
                    const ScanTable& table = dc_tables_[block.part];
                    refill_high(reader);
                    uint32_t entry = table.entries[reader.bits >> (64 - table_bits)];
                    skip_high(reader, entry & 63);
                    if (entry & first_apart) {
                        entry = read_first_apart(table, 0, entry, reader);
                        if (entry == bad_advance << 8) failure = ScanFailure::bad_code;
                    }
                    value = (prediction[block.part] += uint32_t(int32_t(entry) >> 16)) << scan.Al;
                }
                if (__builtin_expect(reader.next > data.segment_end, 0) && reader.overran(data.segment_end))
                    failure = ScanFailure::data_end;
                if (__builtin_expect(failure != ScanFailure::none, 0)) {
                    reader.save(data);
                    data.failure = failure;
                    return;
                }
                if (x < block.columns) block.row[x] = int16_t(refine ? uint32_t(block.row[x]) | value : value);
            }
        }
    }
}

static const AcKernels& ac_kernels() {
#if defined(__x86_64__)
    if (use_avx2()) return ac_kernels_avx2;
#endif
    return ac_kernels_generic;
}

// Decodes the scan's blocks [begin, end); returns where it stopped.
static uint32_t decode_blocks(AcScan& scan, const AcKernels& kernels, int16_t* blocks, uint64_t* maps, uint32_t begin,
                              uint32_t end) {
    ScanData& data = scan.data;
    uint32_t at = begin;
    while (at < end) {
        uint32_t count = end - at;
        if (data.restart_interval) {
            if (data.until_restart == 0) {
                if (!next_segment(data)) break;
                scan.end_of_band_run = 0;
            }
            if (count > data.until_restart) count = data.until_restart;
        }
        const uint32_t done = (scan.Ah ? kernels.refine : kernels.first)(scan, blocks + 64 * size_t(at - begin),
                                                                         maps + (at - begin), count);
        at += done;
        data.until_restart -= done;
        if (done < count) break;
    }
    return at;
}

void ProgressiveScratch::decode_component(const Component& component, int index, int16_t* plane) {
    const AcKernels& kernels = ac_kernels();
    int16_t* const blocks = reinterpret_cast<int16_t*>(band_.data);
    uint64_t* const maps = reinterpret_cast<uint64_t*>(blocks + 64 * size_t(band_blocks));
    const uint32_t total = uint32_t(block_count(component));
    for (uint32_t begin = 0, count; begin < total; begin += count) {
        count = total - begin < band_blocks ? total - begin : band_blocks;
        uint32_t end = begin + count;
        for (size_t i = 0; i < scan_count_; i++) {
            AcScan& scan = ac_scans()[i];
            if (scan.component != index) continue;
            if (scan.data.failure != ScanFailure::none && scan.stop < end) end = scan.stop;
            if (scan.data.failure != ScanFailure::none || begin >= end) continue;
            scan.stop = decode_blocks(scan, kernels, blocks, maps, begin, end);
            end = scan.stop;
        }
        kernels.emit(blocks, maps, dc_planes_[index] + begin, plane + 64 * size_t(begin), count);
    }
}

Status decode_progressive(MarkerReader& reader, const Header& header, const Limits& limits, Output& output,
                          ProgressiveScratch& scratch) {
    return scratch.decode(reader, header, limits, output);
}

}  // namespace jpegfreq
