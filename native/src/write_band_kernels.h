// The inner loops of progressive AC scans, compiled for each instruction set by the files that include this one after
// defining extract_bits(). Everything is static, so that no object of one set serves another.
#pragma once

#include "write_kernels.h"

namespace jpegfreq {

constexpr uint32_t most_ended_blocks = 0x7FFF;  // G.1.2.2: EOB14 and its bits

// The bits of `value` under the ones of `mask`, packed together at the low end.
static inline uint64_t extract_bits(uint64_t value, uint64_t mask);

static inline uint64_t band_mask(const GatheredBand& band) {
    return ~uint64_t(0) >> band.Ss & ~uint64_t(0) << (63 - band.Se);
}

// Which coefficients have a magnitude of at least 1 << Al.
static inline uint64_t map_from(const uint64_t* maps, int top, int Al) {
    uint64_t map = maps[1];
    for (int bit = top - 1; bit >= Al; bit--) map |= maps[1 + top - bit];
    return map;
}

static inline Symbol* flush_raw(GatheredBand& band, Symbol* next) {
    if (band.raw_count == 0) return next;
    add_symbol(band.counts, next, raw_first + band.raw_count, band.raw_bits & ((1u << band.raw_count) - 1));
    band.raw_count = 0;
    return next;
}

// `count` bits, at most 63.
static inline Symbol* add_raw(GatheredBand& band, uint64_t bits, uint32_t count, Symbol* next) {
    while (band.raw_count + count >= 16) {
        const uint32_t taken = 16 - band.raw_count;
        count -= taken;
        const uint32_t sixteen = uint32_t(band.raw_bits << taken | (bits >> count & ((1u << taken) - 1))) & 0xFFFF;
        add_symbol(band.counts, next, raw_first + 16, sixteen);
        band.raw_count = 0;
        band.raw_bits = 0;
    }
    band.raw_bits = uint32_t(band.raw_bits << count | (bits & ((1u << count) - 1)));
    band.raw_count += count;
    return next;
}

// The symbol of a run of ended bands, and its bits (G.1.2.2).
static inline Symbol run_symbol(GatheredBand& band) {
    const uint32_t size = 31 - uint32_t(__builtin_clz(band.ended_blocks));
    const uint32_t number = band.first + (size << 4);
    band.counts[number]++;
    return number | (band.ended_blocks - (1u << size)) << 16;
}

static inline Symbol* flush_run(GatheredBand& band, Symbol* next) {
    if (band.ended_blocks == 0) return next;
    if (band.run_place) {
        *band.run_place = run_symbol(band);
        band.run_place = nullptr;
    } else {
        *next++ = run_symbol(band);
    }
    band.ended_blocks = 0;
    return next;
}

static Symbol* end_band(GatheredBand& band, Symbol* next) { return flush_raw(band, flush_run(band, next)); }

// G.1.2.2
static Symbol* gather_first(GatheredBand& band, uint64_t begin, uint64_t end, Symbol* next) {
    const uint64_t mask = band_mask(band);
    const int count = map_count(band.top);
    for (uint64_t n = begin; n < end; n++) {
        uint64_t nonzero = map_from(band.maps + n * uint64_t(count), band.top, int(band.Al)) & mask;
        if (nonzero) {
            next = flush_run(band, next);
            const int16_t* const block = band.blocks + 64 * n;
            uint32_t before = band.Ss;  // the coefficient after the last one
            do {
                const uint32_t k = uint32_t(__builtin_clzll(nonzero));
                nonzero &= ~(uint64_t(1) << 63 >> k);
                const int32_t value = block[natural_order[k]];
                const int32_t shifted = value < 0 ? -(-value >> band.Al) : value >> band.Al;
                const Magnitude magnitude = magnitude_of(shifted);
                uint32_t run = k - before;
                before = k + 1;
                while (run > 15) {
                    add_symbol(band.counts, next, band.first + zero_run_16, 0);
                    run -= 16;
                }
                add_symbol(band.counts, next, band.first + (run << 4) + magnitude.size, magnitude.bits);
            } while (nonzero);
            if (before > band.Se) continue;
        }
        if (++band.ended_blocks == most_ended_blocks) next = flush_run(band, next);
    }
    return next;
}

// The symbols of a block that has new coefficients, up to the last of them. Returns the map of the coefficients after it.
static inline uint64_t gather_new(GatheredBand& band, const uint64_t* maps, uint64_t old, uint64_t bits, uint64_t fresh,
                                  Symbol*& next) {
    uint64_t rest = band_mask(band);
    do {
        const uint64_t hot = uint64_t(1) << 63 >> __builtin_clzll(fresh);
        const uint64_t passed = rest & ~(hot | (hot - 1));
        uint64_t corrected = passed & old;
        uint64_t zeros = passed & ~old;
        uint32_t run = uint32_t(__builtin_popcountll(zeros));
        while (run > 15) {
            // The run of 16 zeros brings the correction bits of the coefficients up to its last zero (G.1.2.3).
            uint64_t last = 0;
            for (int i = 0; i < 16; i++) {
                last = uint64_t(1) << 63 >> __builtin_clzll(zeros);
                zeros &= ~last;
            }
            const uint64_t brought = corrected & ~(last - 1);
            corrected &= last - 1;
            next = flush_raw(band, next);
            add_symbol(band.counts, next, band.first + zero_run_16, 0);
            next = add_raw(band, extract_bits(bits, brought), uint32_t(__builtin_popcountll(brought)), next);
            run -= 16;
        }
        next = flush_raw(band, next);
        add_symbol(band.counts, next, band.first + (run << 4) + 1, (maps[0] & hot) == 0);
        if (corrected)
            next = add_raw(band, extract_bits(bits, corrected), uint32_t(__builtin_popcountll(corrected)), next);
        rest &= hot - 1;
        fresh &= ~hot;
    } while (fresh);
    return rest;
}

// G.1.2.3
static Symbol* gather_refinement(GatheredBand& band, uint64_t begin, uint64_t end, Symbol* next) {
    const uint64_t mask = band_mask(band);
    const int count = map_count(band.top), Al = int(band.Al);
    for (uint64_t n = begin; n < end; n++) {
        const uint64_t* const maps = band.maps + n * uint64_t(count);
        const uint64_t old = map_from(maps, band.top, Al + 1) & mask;
        const uint64_t bits = maps[1 + band.top - Al];
        const uint64_t fresh = bits & ~old & mask;
        uint64_t rest = mask;
        if (fresh) {
            next = flush_raw(band, flush_run(band, next));
            rest = gather_new(band, maps, old, bits, fresh, next);
            if (rest == 0) continue;
        }
        // The rest of the band has correction bits alone: the block joins the run of ended bands.
        if (band.ended_blocks == 0) {
            next = flush_raw(band, next);
            band.run_place = next++;
        }
        band.ended_blocks++;
        const uint64_t corrected = old & rest;
        if (corrected)
            next = add_raw(band, extract_bits(bits, corrected), uint32_t(__builtin_popcountll(corrected)), next);
        if (band.ended_blocks == most_ended_blocks) next = flush_run(band, next);
    }
    return next;
}

// Plain C++, for any `top`.
static inline uint32_t map_block(const int16_t* block, int top, uint64_t* maps) {
    uint32_t magnitudes = 0;
    for (int i = 0; i < map_count(top); i++) maps[i] = 0;
    for (int k = 1; k < 64; k++) {
        const int32_t value = block[natural_order[k]];
        const uint32_t magnitude = uint32_t(value < 0 ? -value : value);
        const uint64_t bit = uint64_t(1) << (63 - k);
        if (magnitude == 0) continue;
        magnitudes |= magnitude;
        if (value < 0) maps[0] |= bit;
        if (magnitude >> top) maps[1] |= bit;
        for (int i = 0; i < top; i++)
            if (magnitude >> i & 1) maps[1 + top - i] |= bit;
    }
    return magnitudes;
}

}  // namespace jpegfreq
