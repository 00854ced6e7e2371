// AC scans of the progressive process (T.81 G.1.2, decoded as in G.2), over the operations of `Ops`. Included by one .cpp
// per instruction set; everything is in an anonymous namespace, so that the linker never mixes them.
#pragma once

#include <cstring>

#include "progressive.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bits are loaded as little-endian words");

namespace jpegfreq {
namespace {

inline uint64_t load64(const uint8_t* p) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    return word;
}

// The reader's registers. After a refill `bits` holds at least 56 bits.
struct BitReader {
    const uint8_t* next;
    uint64_t bits;
    uint32_t left;

    explicit BitReader(const ScanData& data) : next(data.next), bits(data.bits), left(data.bits_left) {}
    void save(ScanData& data) const {
        data.next = next;
        data.bits = bits;
        data.bits_left = left;
    }
    // More bits were taken than the segment has.
    bool overran(const uint8_t* end) const { return next > end && (next - end) * 8 > int64_t(left); }
};

// Most significant bit first: DC scans, first AC scans.
inline void refill_high(BitReader& reader) {
    reader.bits |= __builtin_bswap64(load64(reader.next)) >> reader.left;
    reader.next += (63 - reader.left) >> 3;
    reader.left |= 56;
}
inline void skip_high(BitReader& reader, uint32_t count) {
    reader.bits <<= count;
    reader.left -= count;
}
// count: 0 to 16
inline uint32_t take_high(BitReader& reader, uint32_t count) {
    const uint32_t value = uint32_t(reader.bits >> 32 >> (32 - count));
    skip_high(reader, count);
    return value;
}

// Least significant bit first, of bit-reversed data: refinements.
inline void refill_low(BitReader& reader) {
    reader.bits |= load64(reader.next) << reader.left;
    reader.next += (63 - reader.left) >> 3;
    reader.left |= 56;
}
inline void skip_low(BitReader& reader, uint32_t count) {
    reader.bits >>= count;
    reader.left -= count;
}

inline uint32_t extra_bits(uint32_t symbol) {
    const uint32_t run = symbol >> 4, size = symbol & 15;
    return size ? size : run < 15 ? run : 0;
}

// What a symbol and the bits after it mean, as advance << 8 | value << 16. Values too large for an int16 wrap, as in libjpeg.
inline uint32_t first_meaning(uint32_t symbol, uint32_t extra, uint32_t Al) {
    const uint32_t run = symbol >> 4, size = symbol & 15;
    if (size) return (run + 1) << 8 | (uint32_t(extend(extra, int(size))) << Al) << 16;
    if (run == 15) return 16 << 8;
    return end_of_band << 8 | ((1u << run) + extra - 1) << 16;
}

inline uint32_t refinement_meaning(uint32_t symbol, uint32_t extra, uint32_t length) {
    const uint32_t run = symbol >> 4, size = symbol & 15, taken = length << refine_length_shift;
    const uint32_t passed = 1u << run | run << refine_run_shift | taken;
    if (size) return passed | refine_new | (extra ? 0 : refine_negative);
    if (run == 15) return passed;
    return ((1u << run) + extra) | refine_end | taken;
}

// The rest of a symbol whose entry has `first_apart`. Takes up to 31 bits.
inline uint32_t read_first_apart(const ScanTable& table, uint32_t Al, uint32_t entry, BitReader& reader) {
    uint32_t symbol = entry >> 16;
    if ((entry & 63) == 0) {
        const LongCode found = find_long_code(table, uint32_t(reader.bits >> 48));
        if (found.length == 0) return bad_advance << 8;
        symbol = found.symbol;
        skip_high(reader, uint32_t(found.length));
    }
    return first_meaning(symbol, take_high(reader, extra_bits(symbol)), Al);
}

inline uint32_t reverse16(uint32_t x) {
    x = (x & 0x5555) << 1 | (x >> 1 & 0x5555);
    x = (x & 0x3333) << 2 | (x >> 2 & 0x3333);
    x = (x & 0x0F0F) << 4 | (x >> 4 & 0x0F0F);
    return (x & 0xFF) << 8 | x >> 8;
}

// The same for refinements, as the entry should have been: nothing is taken yet. Returns 0 for a code that does not exist
// or whose size is not 0 or 1 (G.1.2.3).
inline uint32_t find_refinement_apart(const ScanTable& table, uint32_t entry, uint64_t bits) {
    uint32_t symbol = entry & 255;
    uint32_t length = entry >> refine_length_shift;
    if (length == 0) {
        const LongCode found = find_long_code(table, reverse16(uint32_t(bits) & 0xFFFF));
        symbol = found.symbol;
        length = uint32_t(found.length);
        if (length == 0) return 0;
    }
    if ((symbol & 15) > 1) return 0;
    const uint32_t count = extra_bits(symbol);
    const uint32_t extra = reverse16(uint32_t(bits >> length) & 0xFFFF) >> (16 - count);
    return refinement_meaning(symbol, extra, length + count);
}

template <class Ops>
uint32_t decode_first(AcScan& scan, int16_t* blocks, uint64_t* maps, uint32_t count) {
    BitReader reader(scan.data);
    const uint32_t* const entries = scan.table.entries;
    const uint32_t Se = scan.Se;
    uint32_t run = scan.end_of_band_run;
    uint32_t b = 0;
    refill_high(reader);
    for (;;) {
        const uint32_t skipped = run < count - b ? run : count - b;
        b += skipped;
        run -= skipped;
        if (b == count) break;

        int16_t* const block = blocks + 64 * size_t(b);
        uint64_t map = 0;
        uint32_t k = scan.Ss - 1u;
        for (;;) {
            // At least 25 bits are left of the last refill, so the entry does not wait for this one.
            uint32_t entry = entries[reader.bits >> (64 - table_bits)];
            refill_high(reader);
            skip_high(reader, entry & 63);
            k += entry >> 8 & 255;
            if (k >= Se) {
                if (entry & first_apart) {
                    k -= entry >> 8 & 255;
                    entry = read_first_apart(scan.table, scan.Al, entry, reader);
                    k += entry >> 8 & 255;
                    if (k <= Se && entry >> 16 == 0) {
                        if (k == Se) break;
                        continue;
                    }
                }
                if (k > Se) {
                    const uint32_t advance = entry >> 8 & 255;
                    if (advance == end_of_band) {
                        run = entry >> 16;
                    } else {
                        scan.data.failure = advance == bad_advance ? ScanFailure::bad_code : ScanFailure::past_band;
                    }
                    break;
                }
            }
            block[Ops::place(k)] = int16_t(entry >> 16);
            map |= uint64_t(1) << k;
            if (k == Se) break;
        }
        if (reader.overran(scan.data.segment_end)) scan.data.failure = ScanFailure::data_end;
        if (scan.data.failure != ScanFailure::none) {
            // Only this scan visits the band for the first time, so it was zero.
            for (k = scan.Ss; k <= Se; k++) block[Ops::place(k)] = 0;
            break;
        }
        maps[b++] |= map;
    }
    scan.end_of_band_run = run;
    reader.save(scan.data);
    return b;
}

// The correction bits of a block's coefficients that are not zero, in their order, lowest bit first: at most 63.
struct Corrections {
    uint64_t bits = 0;
    uint32_t count = 0;

    void take_some(BitReader& reader, uint32_t more) {
        bits |= (reader.bits & ~(~uint64_t(0) << more)) << count;
        count += more;
        skip_low(reader, more);
    }
    // At least 39 bits must be left; at least 10 stay.
    void take(BitReader& reader, uint32_t more) {
        if (__builtin_expect(more > 29, 0)) {
            take_some(reader, 29);
            refill_low(reader);
            more -= 29;
        }
        take_some(reader, more);
    }
};

// Note [Refinement by maps]
// A symbol of run r passes r zero coefficients, takes a correction bit for each non-zero one on its way, and ends on the next
// zero one. Ops::Zeros finds that end from the block's non-zero map. The corrections wait in a queue until the block's end:
// by then every non-zero coefficient of the band has one, so they are dealt out in one go, without a look at the symbols.
// Ops::Block adds 1 << Al away from zero where a correction bit was 1, and sets the new coefficients.
// The progression state (first visit at Ah = 0, then one bit lower each time) makes this equal to libjpeg's update, which
// tests the bit before adding it.
//
// The next symbol waits for the number of bits that this one takes: look-up, end, shift. So the corrections are not counted: a
// symbol that moves from `next` to `end` passes end - next - run of them.
template <class Ops>
uint32_t decode_refinement(AcScan& scan, int16_t* blocks, uint64_t* maps, uint32_t count) {
    BitReader reader(scan.data);
    const uint32_t* const entries = scan.table.entries;
    const uint8_t* const data_end = scan.data.segment_end;
    const uint32_t Ss = scan.Ss, Se = scan.Se;
    const uint64_t band = (~uint64_t(0) >> (63 - Se)) & (~uint64_t(0) << Ss);
    const int16_t step = int16_t(1 << scan.Al);
    ScanFailure failure = ScanFailure::none;
    uint32_t run = scan.end_of_band_run;
    uint32_t b = 0;
    refill_low(reader);
    for (; b < count; b++) {
        const uint64_t nonzero = maps[b];
        Corrections corrections;
        typename Ops::Block block(blocks + 64 * size_t(b), step);
        uint32_t next = Ss;  // the first coefficient that no symbol has passed
        if (run == 0) {
            typename Ops::Zeros zeros(band & ~nonzero);
            do {
                // At least 10 bits are left of the last refill, so the entry does not wait for this one.
                uint32_t entry = entries[reader.bits & ((1 << table_bits) - 1)];
                refill_low(reader);
                if (__builtin_expect(entry & refine_special, 0)) {
                    if (entry & refine_apart) entry = find_refinement_apart(scan.table, entry, reader.bits);
                    if (entry == 0) {
                        failure = ScanFailure::bad_code;
                        break;
                    }
                    if (entry & refine_end) {
                        skip_low(reader, entry >> refine_length_shift);
                        run = entry & 0xFFFF;
                        break;
                    }
                }
                skip_low(reader, entry >> refine_length_shift);
                const uint32_t end = zeros.pass(entry);
                if (__builtin_expect(end > Se, 0)) {
                    corrections.take(reader, Ops::count(nonzero & band & ~uint64_t(0) << next));
                    failure = ScanFailure::past_band;
                    break;
                }
                corrections.take(reader, end - next - (entry >> refine_run_shift & 15));
                block.add(end, entry);
                next = end + 1;
            } while (next <= Se);
        }
        if (run) {
            run--;
            const uint64_t places = nonzero & band & ~uint64_t(0) << next;
            if (places) {
                refill_low(reader);
                corrections.take(reader, Ops::count(places));
            }
        }
        if (__builtin_expect(reader.next > data_end, 0) && reader.overran(data_end)) failure = ScanFailure::data_end;
        if (__builtin_expect(failure != ScanFailure::none, 0)) {
            block.take_back();
            break;
        }
        block.correct(corrections.bits, nonzero & band);
        maps[b] = nonzero | block.added;
    }
    scan.data.failure = failure;
    scan.end_of_band_run = run;
    reader.save(scan.data);
    return b;
}

}  // namespace
}  // namespace jpegfreq
