// The inner loops of writing, compiled for each instruction set by the files that include this one after defining
// nonzero_in_zigzag(). Everything is static, so that no object of one set serves another.
#pragma once

#include <cstring>

#include "standard_tables.h"
#include "symbols.h"

namespace jpegfreq {

// Bit k is set where coefficient k of the zigzag order is not zero.
static inline uint64_t nonzero_in_zigzag(const int16_t* block);

static inline Symbol* gather_dc(GatheredScan& scan, GatheredComponent& component, int32_t dc, Symbol* next) {
    const Magnitude difference = magnitude_of(dc - component.dc_prediction);
    component.dc_prediction = dc;
    component.dc_magnitudes |= difference.magnitude;
    add_symbol(scan.counts, next, component.dc_first + difference.size, difference.bits);
    return next;
}

static inline Symbol* gather_block(GatheredScan& scan, GatheredComponent& component, const int16_t* block,
                                   Symbol* next) {
    next = gather_dc(scan, component, block[0], next);
    uint32_t* const counts = scan.counts;
    const uint32_t first = component.ac_first;
    uint64_t nonzero = nonzero_in_zigzag(block) & ~uint64_t(1);
    const bool ends_early = int64_t(nonzero) >= 0;  // coefficient 63 is zero
    uint32_t before = 1;                            // the coefficient after the last one
    uint32_t magnitudes = 0;
    while (nonzero) {
        const uint32_t k = uint32_t(__builtin_ctzll(nonzero));
        nonzero &= nonzero - 1;
        const Magnitude value = magnitude_of(block[natural_order[k]]);
        uint32_t run = k - before;
        before = k + 1;
        while (run > 15) {
            add_symbol(counts, next, first + zero_run_16, 0);
            run -= 16;
        }
        magnitudes |= value.magnitude;
        add_symbol(counts, next, first + (run << 4) + value.size, value.bits);
    }
    component.ac_magnitudes |= magnitudes;
    if (ends_early) add_symbol(counts, next, first + end_of_block, 0);
    return next;
}

static Symbol* gather_mcus(GatheredScan& scan, uint32_t row, uint32_t column, uint32_t column_end, Symbol* next) {
    for (; column < column_end; column++) {
        for (int i = 0; i < scan.component_count; i++) {
            GatheredComponent& component = scan.components[i];
            for (uint32_t y = 0; y < component.mcu_high; y++) {
                const uint32_t block_row = row * component.mcu_high + y;
                for (uint32_t x = 0; x < component.mcu_wide; x++) {
                    const uint32_t block_column = column * component.mcu_wide + x;
                    if (block_row < component.blocks_high && block_column < component.blocks_wide) {
                        const uint64_t number = uint64_t(block_row) * component.blocks_wide + block_column;
                        next = gather_block(scan, component, component.plane + 64 * number, next);
                    } else {
                        // A padding block (A.2.4) repeats the DC coefficient before it and has no others, as libjpeg writes it.
                        next = gather_dc(scan, component, component.dc_prediction, next);
                        add_symbol(scan.counts, next, component.ac_first + end_of_block, 0);
                    }
                }
            }
        }
    }
    return next;
}

// Note [Packing without a branch]
// After every symbol the bits so far are stored, left-aligned, as eight bytes, and the position moves on by the bytes that
// are complete; the other bits are stored again with the next symbol. Before a symbol, at most 7 bits are pending, so that 38
// are the most that a store holds.
static uint8_t* pack_symbols(const Symbol* begin, const Symbol* end, const CodedSymbol* coded, uint8_t* out) {
    uint64_t bits = 0;  // the low `pending` bits are not yet stored for good; those above are old
    uint32_t pending = 0;
    for (const Symbol* next = begin; next < end; next++) {
        const CodedSymbol& code = coded[*next & 0xFFFF];
        bits = bits << code.length | (code.bits | *next >> 16);
        pending += code.length;
        const uint64_t bytes = __builtin_bswap64(bits << (-pending & 63));
        std::memcpy(out, &bytes, 8);
        out += pending >> 3;
        pending &= 7;
    }
    if (pending) {
        const uint32_t filling = 8 - pending;
        *out++ = uint8_t(bits << filling | ((1u << filling) - 1));
    }
    return out;
}

}  // namespace jpegfreq
