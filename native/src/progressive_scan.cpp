// A scan's data and tables, made ready for the kernels.
#include <cstring>

#include "progressive_kernels.h"

namespace jpegfreq {
namespace {

uint8_t* copy_bytes(const uint8_t* __restrict from, size_t count, uint8_t* __restrict to) {
    std::memcpy(to, from, count);
    return to + count;
}

uint8_t* copy_bytes_reversed(const uint8_t* __restrict from, size_t count, uint8_t* __restrict to) {
    for (size_t i = 0; i < count; i++) {
        uint8_t byte = from[i];
        byte = uint8_t((byte & 0x55) << 1 | (byte >> 1 & 0x55));
        byte = uint8_t((byte & 0x33) << 2 | (byte >> 2 & 0x33));
        to[i] = uint8_t(byte << 4 | byte >> 4);
    }
    return to + count;
}

// C.2: the codes of up to table_bits bits, in the order of HUFFVAL.
template <class F>
void for_each_short_code(const HuffmanSpec& spec, F visit) {
    uint32_t code = 0, index = 0;
    for (uint32_t length = 1; length <= table_bits; length++, code <<= 1)
        for (uint32_t i = 0; i < spec.code_counts[length - 1]; i++) visit(code++, length, spec.values[index++ & 255]);
}

// The first byte of which no bit is taken.
const uint8_t* reader_position(const ScanData& data) { return data.next - data.bits_left / 8; }

void enter_segment(ScanData& data) {
    uint32_t size;
    std::memcpy(&size, data.segment_end, 4);
    data.next = data.segment_end + 4;
    data.segment_end = data.next + size;
    data.bits = 0;
    data.bits_left = 0;
    data.until_restart = data.restart_interval;
    data.segments_read++;
}

uint32_t reverse(uint32_t value, uint32_t bits) { return reverse16(value) >> (16 - bits); }

}  // namespace

// B.1.1.5: FF 00 stands for FF; FF bytes before a marker are fill (B.1.1.2). Restart markers out of order end the data (as do
// those of a scan without restart intervals), so a reader that needs what follows finds no segment.
uint8_t* copy_scan_data(Bytes jpeg, ScanData& data, uint8_t* copy) {
    const uint8_t* from = jpeg.data + data.data_offset_bytes;
    const uint8_t* const end = jpeg.data + jpeg.size;
    data.copy = copy;
    uint8_t* segment = copy;
    uint8_t* to = copy + 4;
    uint32_t restarts = 0;
    const auto close_segment = [&] {
        const uint32_t size = uint32_t(to - segment - 4);
        std::memcpy(segment, &size, 4);
    };
    for (;;) {
        const size_t room = size_t(end - from);
        const void* hit = room ? std::memchr(from, 0xFF, room) : nullptr;
        const size_t span = hit ? size_t(static_cast<const uint8_t*>(hit) - from) : room;
        to = data.reversed ? copy_bytes_reversed(from, span, to) : copy_bytes(from, span, to);
        from += span;
        if (!hit) break;
        const uint8_t* code = from + 1;
        while (code < end && *code == 0xFF) code++;
        if (code == end) {
            from = end;
            break;
        }
        if (*code == 0) {
            *to++ = 0xFF;
        } else if (data.restart_interval && *code == 0xD0 + restarts % 8) {
            close_segment();
            restarts++;
            segment = to;
            to += 4;
        } else {
            from = code - 1;
            break;
        }
        from = code + 1;
    }
    close_segment();
    data.end_offset_bytes = uint64_t(from - jpeg.data);
    data.copy_end = to;
    data.segment_end = data.copy;
    enter_segment(data);
    return to;
}

bool next_segment(ScanData& data) {
    if (data.segment_end == data.copy_end) {
        data.failure = ScanFailure::no_restart;
    } else if (reader_position(data) < data.segment_end) {
        data.failure = ScanFailure::surplus;
    } else {
        enter_segment(data);
    }
    return data.failure == ScanFailure::none;
}

// Counts the bytes of the copy again, in the file.
uint64_t reader_offset(Bytes jpeg, const ScanData& data) {
    const uint8_t* const position = reader_position(data);
    uint64_t count = uint64_t((position < data.segment_end ? position : data.segment_end) - data.copy) -
                     4 * uint64_t(data.segments_read);
    uint64_t at = data.data_offset_bytes;
    while (at < data.end_offset_bytes) {
        uint64_t size = 1;
        bool is_data = true;
        if (jpeg.data[at] == 0xFF) {
            while (at + size < jpeg.size && jpeg.data[at + size] == 0xFF) size++;
            is_data = at + size < jpeg.size && jpeg.data[at + size] == 0;
            size++;
        }
        if (is_data && count-- == 0) break;
        at += size;
    }
    return at < data.end_offset_bytes ? at : data.end_offset_bytes;
}

// DC tables go here too: their symbols are those of AC coefficients with a run of 0.
void build_first_table(const HuffmanSpec& spec, uint32_t Al, ScanTable& table) {
    for (uint32_t& entry : table.entries) entry = first_apart;
    for_each_short_code(spec, [&](uint32_t code, uint32_t length, uint32_t symbol) {
        const uint32_t room = table_bits - length, extra = extra_bits(symbol);
        uint32_t* entry = table.entries + ((code << room) & ((1 << table_bits) - 1));
        if (extra > room) {
            for (uint32_t i = 0; i < 1u << room; i++) entry[i] = length | first_apart | symbol << 16;
            return;
        }
        for (uint32_t value = 0; value < 1u << extra; value++) {
            const uint32_t meaning = first_meaning(symbol, value, Al);
            const bool is_zero = (meaning >> 16) == 0 && (meaning >> 8) != end_of_band;
            const uint32_t filled = is_zero ? length | first_apart | symbol << 16 : (length + extra) | meaning;
            for (uint32_t i = 0; i < 1u << (room - extra); i++) *entry++ = filled;
        }
    });
    build_long_codes(spec, table);
}

void build_refinement_table(const HuffmanSpec& spec, ScanTable& table) {
    for (uint32_t& entry : table.entries) entry = refine_apart;
    for_each_short_code(spec, [&](uint32_t code, uint32_t length, uint32_t symbol) {
        const uint32_t room = table_bits - length, extra = extra_bits(symbol);
        const bool apart = extra > room || (symbol & 15) > 1;
        const uint32_t taken = apart ? length : length + extra;
        for (uint32_t value = 0; value < (apart ? 1u : 1u << extra); value++) {
            const uint32_t filled = apart ? refine_apart | symbol | length << refine_length_shift
                                          : refinement_meaning(symbol, value, taken);
            const uint32_t first = reverse((apart ? code : code << extra | value) & ((1 << taken) - 1), taken);
            for (uint32_t i = first; i < 1 << table_bits; i += 1u << taken) table.entries[i] = filled;
        }
    });
    build_long_codes(spec, table);
}

}  // namespace jpegfreq
