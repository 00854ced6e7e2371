// The progressive process (T.81 G.1, SOF2), 8 and 12 bit.
//
// All scans are read first. DC scans, which interleave components, go to a plane of DC coefficients of their own; of an AC
// scan, which has one component (G.1.1.1.1), the data and the table are kept. Then each component is decoded by bands of
// blocks: all its AC scans in the order of the file over one buffer, which goes to the plane when the last has passed.
//
// Note [Bounded work]
// A scan may end 32767 blocks with one code, so a file's size does not bound the visits to its blocks. The state of each
// coefficient does (first visit at Ah = 0, then one bit lower each time, G.1.1.1.2: 14 scans of 63 bands), and limits.max_scans
// does; and over a whole file a block may be visited 32 times (more than any real file's), plus 64 times per byte of the file.
// Visits that read no bits cost about a nanosecond.
//
// Note [Errors]
// A scan that fails continues at its next restart segment; the blocks in between keep what other scans gave them. A scan
// that refines such coefficients has nothing to build on there: it too continues at its next segment.
#include <cstring>
#include <new>

#include "damaged_blocks.h"
#include "dispatch.h"
#include "progression.h"
#include "progressive_kernels.h"
#include "scan_decoders.h"
#include "status.h"

namespace jpegfreq {

constexpr uint64_t visits_per_block = 32;
constexpr uint64_t visits_per_byte = 64;
// What is kept between images: a buffer over this size is given back.
constexpr size_t kept_bytes = 1 << 20;

namespace {

// What is wrong in the segment that the reader has entered last.
Status failure_status(Bytes jpeg, const ScanData& data) {
    const RestartSegment& segment = data.segments[data.next_segment - 1];
    // The first byte of which no bit is taken.
    const uint64_t position = uint64_t(data.next - data.bits_left / 8 - data.copies);
    const uint64_t offset = file_offset(jpeg, data.source, segment, position < segment.end ? position : segment.end);
    switch (data.failure) {
        case ScanFailure::none: return Status();
        case ScanFailure::bad_code:
            return malformed("scan data", offset, "no Huffman code of the table, or a value it may not have", "G.2.2");
        case ScanFailure::past_band: return malformed("scan data", offset, "a run leaves the spectral band", "G.2.2");
        case ScanFailure::data_end: break;
    }
    const uint64_t end = data.source.end;
    if (data.has_next_segment())
        return malformed("scan data", offset, "restart interval {} ends early", "E.2.4", segment.interval);
    if (end >= jpeg.size) return truncated("scan data", jpeg.size, "the data end inside the scan", "E.2.3");
    return truncated("scan data", end, "marker {} before the scan's last block", "E.2.3", jpeg.data[end + 1]);
}

// The present segment, which is whole, does not end with a restart marker.
Status another_marker_status(Bytes jpeg, const ScanData& data) {
    const RestartSegment& segment = data.segments[data.next_segment - 1];
    return malformed("scan data", file_offset(jpeg, data.source, segment, segment.end),
                     "another marker where a restart marker belongs, after interval {}", "E.2.4", segment.interval);
}

// The interval that is due after `interval` is missing.
Status missing_interval_status(Bytes jpeg, const ScanData& data, uint32_t interval) {
    if (!data.has_next_segment())
        return truncated("scan data", data.source.end,
                         data.source.end >= jpeg.size ? "the data end after restart interval {}"
                                                      : "a marker ends the data after restart interval {}",
                         "E.2.3", interval);
    const uint64_t offset = data.source.begin + data.segments[data.next_segment].offset_bytes - 2;
    return malformed("scan data", offset, "restart marker {} is out of order", "E.2.4", jpeg.data[offset + 1] & 7);
}

uint64_t block_count(const Component& component) { return uint64_t(component.blocks_high) * component.blocks_wide; }

}  // namespace

class ProgressiveScratch {
public:
    Status decode(MarkerReader& reader, const Header& header, const Limits& limits, Output& output, Damages& damages,
                  RowSink* sink);

private:
    bool reserve(const Header& header, size_t data_bytes);
    Status read_scans(MarkerReader& reader, const Header& header, const Limits& limits, Damages& damages);
    bool read_scan(const MarkerReader& reader, const Header& header, const Scan& scan, uint32_t number,
                   uint64_t& end_offset, Damages& damages);
    template <bool refine>
    bool decode_dc(Bytes jpeg, const Header& header, const Scan& scan, ScanData& data, uint32_t number,
                   Damages& damages);
    bool decode_blocks(Bytes jpeg, const Header& header, AcScan& scan, int16_t* blocks, uint64_t* maps, uint32_t begin,
                       uint32_t end, Damages& damages);
    bool decode_component(Bytes jpeg, const Header& header, int index, const Output& output, Damages& damages,
                          RowSink* sink);

    Buffer<uint8_t> copies_;  // of the scans' data
    Buffer<RestartSegment> segments_;
    Buffer<AcScan> scans_;
    Buffer<int16_t> dc_;      // one per block, component after component
    Buffer<int16_t> blocks_;  // of a band, 64 each; all zero between bands, as are the maps
    Buffer<uint64_t> maps_;   // one per block of a band
    uint8_t* copies_end_ = nullptr;
    size_t segment_count_ = 0;
    size_t scan_count_ = 0;
    int16_t* dc_planes_[max_components] = {};
    ScanTable dc_tables_[max_components];
    DamagedBlocks lost_;
};

ProgressiveScratch* new_progressive_scratch() { return new (std::nothrow) ProgressiveScratch(); }
void delete_progressive_scratch(ProgressiveScratch* scratch) { delete scratch; }

bool ProgressiveScratch::reserve(const Header& header, size_t data_bytes) {
    uint64_t blocks = 0;
    for (int c = 0; c < header.component_count; c++) blocks += block_count(header.components[c]);
    if (!copies_.reserve(data_bytes + read_ahead) || !dc_.reserve(blocks)) return false;
    if (!maps_.data()) {
        if (!blocks_.reserve(64 * band_blocks) || !maps_.reserve(band_blocks)) return false;
        std::memset(blocks_.data(), 0, 64 * band_blocks * sizeof(int16_t));
        std::memset(maps_.data(), 0, band_blocks * sizeof(uint64_t));
    }
    std::memset(dc_.data(), 0, blocks * sizeof(int16_t));
    copies_end_ = copies_.data();
    segment_count_ = 0;
    scan_count_ = 0;
    int16_t* plane = dc_.data();
    for (int c = 0; c < header.component_count; c++) {
        dc_planes_[c] = plane;
        plane += block_count(header.components[c]);
    }
    return true;
}

Status ProgressiveScratch::decode(MarkerReader& reader, const Header& header, const Limits& limits, Output& output,
                                  Damages& damages, RowSink* sink) {
    const Bytes jpeg = reader.jpeg();
    // Positions within the data have 32 bits.
    Status status =
        jpeg.size > UINT32_MAX - read_ahead ? unsupported("", 0, "a progressive file of 4 GB or more", "") : Status();
    if (status.ok() && !reserve(header, jpeg.size - reader.position())) status = out_of_memory();
    if (status.ok()) status = read_scans(reader, header, limits, damages);
    for (size_t i = 0; i < scan_count_; i++) {
        // The segments of all scans lie in one buffer, which has come to rest now.
        ScanData& data = scans_[i].data;
        data.segments = segments_.data() + data.next_segment;
        data.next_segment = 0;
    }
    for (int c = 0; c < header.component_count; c++)
        std::memcpy(output.quantization_tables[c], reader.quantization_table(c), sizeof output.quantization_tables[c]);
    for (int c = 0; c < header.component_count; c++) {
        if (sink && !damages.empty()) break;
        if (status.ok() && !decode_component(jpeg, header, c, output, damages, sink)) status = out_of_memory();
        if (!status.ok() && !sink)
            std::memset(output.planes[c], 0, block_count(header.components[c]) * 64 * sizeof(int16_t));
    }
    copies_.trim(kept_bytes);
    segments_.trim(kept_bytes);
    scans_.trim(kept_bytes);
    dc_.trim(kept_bytes);
    lost_.clear();
    return status;
}

Status ProgressiveScratch::read_scans(MarkerReader& reader, const Header& header, const Limits& limits,
                                      Damages& damages) {
    Progression progression;
    uint64_t visits_left = visits_per_byte * reader.jpeg().size;
    for (int c = 0; c < header.component_count; c++)
        visits_left += visits_per_block * block_count(header.components[c]);
    for (uint32_t number = 0;; number++) {
        Scan scan;
        bool found = false;
        Status status = reader.next_scan(header, scan, found);
        if (status.ok() && !found) break;
        if (status.ok() && number == limits.max_scans)
            status = unsupported("SOS", scan.offset_bytes, "more than {} scans (max_scans)", "", limits.max_scans);
        if (status.ok()) status = progression.visit(scan);
        uint64_t visits = 0;
        for (int i = 0; i < scan.component_count; i++)
            visits += block_count(header.components[scan.components[i].index]);
        if (status.ok() && visits > visits_left)
            status = unsupported("SOS", scan.offset_bytes, "more scans than a file of {} bytes may have", "",
                                 int64_t(reader.jpeg().size));
        if (!status.ok()) {
            damages.add(status, number);
            return Status();
        }
        visits_left -= visits;
        uint64_t end_offset = scan.data_offset_bytes;
        if (!read_scan(reader, header, scan, number, end_offset, damages)) return out_of_memory();
        reader.seek(end_offset);
    }
    if (!reader.saw_eoi() && damages.empty() && !progression.complete(header))
        damages.add(truncated("EOI", reader.jpeg().size, "the data end before the last scan", "B.2.1"), UINT32_MAX);
    add_missing_scan(reader, header, reader.components_seen(), damages);
    return Status();
}

// Decodes a DC scan and keeps an AC scan's data and table. False: out of memory.
bool ProgressiveScratch::read_scan(const MarkerReader& reader, const Header& header, const Scan& scan, uint32_t number,
                                   uint64_t& end_offset, Damages& damages) {
    const bool refines_ac = scan.Ss > 0 && scan.Ah > 0;
    ScanData data;
    if (!copy_scan(reader.jpeg(), scan.data_offset_bytes, scan.interval_count(),
                   refines_ac ? copy_reversed_to_ff : kernels().copy_to_ff, copies_.data(), copies_end_, segments_,
                   segment_count_, data.source))
        return false;
    data.copies = copies_.data();
    data.restart_interval = scan.restart_interval;
    copies_end_ = data.source.copy_end;
    std::memset(copies_end_, 0, read_ahead);
    end_offset = data.source.end;
    if (scan.Ss == 0) {
        data.segments = segments_.data() + segment_count_;
        for (int i = 0; scan.Ah == 0 && i < scan.component_count; i++)
            build_first_table(reader.tables().dc[scan.components[i].dc_table], 0, dc_tables_[i]);
        return scan.Ah == 0 ? decode_dc<false>(reader.jpeg(), header, scan, data, number, damages)
                            : decode_dc<true>(reader.jpeg(), header, scan, data, number, damages);
    }
    data.next_segment = uint32_t(segment_count_);
    segment_count_ += data.source.segment_count;
    if (scan_count_ == scans_.size() && !scans_.reserve(2 * (scan_count_ + 1), scan_count_)) return false;
    AcScan& ac = *::new (&scans_[scan_count_++]) AcScan();
    ac.data = data;
    ac.component = scan.components[0].index;
    ac.Ss = scan.Ss;
    ac.Se = scan.Se;
    ac.Ah = scan.Ah;
    ac.Al = scan.Al;
    ac.number = number;
    const HuffmanSpec& spec = reader.tables().ac[scan.components[0].ac_table];
    if (scan.Ah == 0) {
        build_first_table(spec, scan.Al, ac.table);
    } else {
        build_refinement_table(spec, ac.table);
    }
    return true;
}

// G.1.2.1: the sequential coding of DC differences, of values without their Al low bits; then bit Al of each.
template <bool refine>
bool ProgressiveScratch::decode_dc(Bytes jpeg, const Header& header, const Scan& scan, ScanData& data, uint32_t number,
                                   Damages& damages) {
    struct Block {
        int16_t* row = nullptr;
        uint32_t columns = 0;  // A.2.3: the blocks that fill up the last MCUs of a row and of the image are dropped
        const uint64_t* lost = nullptr;  // DamagedBlocks of the row
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
    const uint64_t mcu_count = scan.mcu_count();
    const uint64_t step = scan.restart_interval ? scan.restart_interval : mcu_count;
    uint64_t mcu = 0;
    while (mcu < mcu_count) {
        const uint64_t first = data.next_mcu(mcu_count);
        if (first > mcu) {
            damages.add(missing_interval_status(jpeg, data, uint32_t(mcu / step - 1)), number);
            if (!lost_.mark(header, scan, mcu, first)) return false;
            mcu = first;
            continue;
        }
        if (data.ended_by_another_marker()) damages.add(another_marker_status(jpeg, data), number);
        data.enter_segment();
        BitReader reader(data);
        uint32_t prediction[max_components] = {};  // modulo 2^32, as only 16 bits of it are kept
        const uint64_t stop = mcu_count - mcu < step ? mcu_count : mcu + step;
        bool new_row = true;
        for (; mcu < stop; mcu++) {
            const uint32_t column = uint32_t(mcu % scan.mcus_wide);
            if (column == 0 || new_row) {
                const uint32_t row = uint32_t(mcu / scan.mcus_wide);
                for (uint32_t i = 0; i < block_count; i++) {
                    const int index = scan.components[blocks[i].part].index;
                    const Component& component = header.components[index];
                    const uint32_t y = row * blocks[i].high + blocks[i].y;
                    blocks[i].columns = y < component.blocks_high ? component.blocks_wide : 0;
                    blocks[i].row = dc_planes_[index] + size_t(y) * blocks[i].columns;
                    blocks[i].lost = lost_.of(index) ? lost_.of(index) + size_t(y) * blocks[i].columns : nullptr;
                }
                new_row = false;
            }
            if (refine) refill_high(reader);  // one bit per block
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
                        if (entry == bad_advance << 8) data.failure = ScanFailure::bad_code;
                    }
                    value = (prediction[block.part] += uint32_t(int32_t(entry) >> 16)) << scan.Al;
                }
                if (__builtin_expect(reader.next > data.segment_end, 0) && reader.overran(data.segment_end))
                    data.failure = ScanFailure::data_end;
                if (__builtin_expect(data.failure != ScanFailure::none, 0)) break;
                if (x >= block.columns) continue;
                if (!refine) {
                    block.row[x] = int16_t(value);
                } else if (!block.lost || !(block.lost[x] & 1)) {
                    block.row[x] = int16_t(uint32_t(block.row[x]) | value);
                }
            }
            if (__builtin_expect(data.failure != ScanFailure::none, 0)) {
                reader.save(data);
                damages.add(failure_status(jpeg, data), number);
                if (!lost_.mark(header, scan, mcu, stop)) return false;
                mcu = stop;
                break;
            }
        }
    }
    return true;
}

// Decodes the scan's blocks [begin, end) of a band. False: out of memory.
bool ProgressiveScratch::decode_blocks(Bytes jpeg, const Header& header, AcScan& scan, int16_t* blocks, uint64_t* maps,
                                       uint32_t begin, uint32_t end, Damages& damages) {
    ScanData& data = scan.data;
    const uint32_t total = uint32_t(block_count(header.components[scan.component]));
    const uint64_t band = band_bits(scan.Ss, scan.Se);
    const auto decode = scan.Ah ? kernels().ac->refine : kernels().ac->first;
    const auto fail = [&](const Status& status, uint32_t lost_until) {
        damages.add(status, scan.number);
        scan.lost_until = lost_until;
    };
    for (uint32_t at = begin; at < end;) {
        if (at < scan.lost_until) {
            const uint32_t stop = scan.lost_until < end ? scan.lost_until : end;
            if (!lost_.mark_blocks(header, scan.component, at, stop, band)) return false;
            at = stop;
            continue;
        }
        if (at >= scan.segment_stop) {
            const uint32_t first = uint32_t(data.next_mcu(total));
            if (first > at) {
                fail(missing_interval_status(jpeg, data, at / data.restart_interval - 1), first);
                continue;
            }
            if (data.ended_by_another_marker()) damages.add(another_marker_status(jpeg, data), scan.number);
            data.enter_segment();
            scan.end_of_band_run = 0;
            scan.segment_stop =
                data.restart_interval && data.restart_interval < total - at ? at + data.restart_interval : total;
        }
        uint32_t stop = scan.segment_stop < end ? scan.segment_stop : end;
        const uint64_t* lost = scan.Ah ? lost_.of(scan.component) : nullptr;
        for (uint32_t i = at; lost && i < stop; i++)
            if (lost[i] & band) stop = i;
        if (stop == at) {
            fail(malformed("scan data", data.source.begin, "an earlier scan of block {} is damaged", "G.1.1.1.2", at),
                 scan.segment_stop);
            continue;
        }
        const uint32_t count = stop - at;
        const uint32_t done = decode(scan, blocks + 64 * size_t(at - begin), maps + (at - begin), count);
        at += done;
        if (done < count) fail(failure_status(jpeg, data), scan.segment_stop);
    }
    return true;
}

bool ProgressiveScratch::decode_component(Bytes jpeg, const Header& header, int index, const Output& output,
                                          Damages& damages, RowSink* sink) {
    const Component& component = header.components[index];
    const uint32_t total = uint32_t(block_count(component)), wide = component.blocks_wide;
    const uint32_t held = sink ? output.held_mcu_rows * mcu_height(header, index) : component.blocks_high;
    for (uint32_t begin = 0, count; begin < total; begin += count) {
        count = total - begin < band_blocks ? total - begin : band_blocks;
        // The plane goes around: a band ends before the row that is not yet complete comes again, and where the plane ends.
        const uint32_t place = begin % (held * wide), left = held * wide - place;
        const uint32_t room = held * wide - begin % wide;
        if (count > left) count = left;
        if (count > room) count = room;
        bool has_memory = true;
        for (size_t i = 0; i < scan_count_ && has_memory; i++)
            if (scans_[i].component == index)
                has_memory =
                    decode_blocks(jpeg, header, scans_[i], blocks_.data(), maps_.data(), begin, begin + count, damages);
        kernels().ac->emit(blocks_.data(), maps_.data(), dc_planes_[index] + begin,
                           output.planes[index] + 64 * size_t(place), count);
        if (!has_memory) return false;
        if (sink) sink->rows(output, index, (begin + count) / wide);
    }
    return true;
}

Status decode_progressive(MarkerReader& reader, const Header& header, const Limits& limits, Output& output,
                          ProgressiveScratch& scratch, Damages& damages, RowSink* sink) {
    return scratch.decode(reader, header, limits, output, damages, sink);
}

}  // namespace jpegfreq
