// A scan on its way to bits: first all symbols with their further bits, in order, while they are counted; then, once the
// counts have made the Huffman tables, one code after another.
#pragma once

#include <cstdint>

#ifdef __LZCNT__
#include <immintrin.h>
#endif

namespace jpegfreq {

// A symbol and the bits after its code (T.81 F.1.2.1, F.1.2.2, G.1.2.2). Low half: which symbol of which table; high half: the
// bits, right-aligned.
using Symbol = uint32_t;

// Symbols 0 to 255 of a table have the numbers `first` + 0 to 255. Values out of range make a few numbers more, up to 272;
// they are noticed before anything is coded.
constexpr uint32_t table_stride = 272;
constexpr uint32_t dc_table_first(int table) { return uint32_t(table) * table_stride; }
constexpr uint32_t ac_table_first(int table) { return uint32_t(4 + table) * table_stride; }
// Bits without a code, 0 to 16 of them: number raw_first + how many.
constexpr uint32_t raw_first = 8 * table_stride;
constexpr uint32_t symbol_numbers = raw_first + 17;

constexpr uint32_t end_of_block = 0x00, zero_run_16 = 0xF0;

// What a symbol's code and further bits become: `bits` holds the code, shifted left by as many places as bits follow.
struct CodedSymbol {
    uint32_t bits;
    uint32_t length;  // of both together: at most 31
};

// Functions that every instruction set compiles for itself are static, so that no object of one serves another.

// Note [Size and bits of a value]
// A value v of size s (the bits of its magnitude) is followed by s bits: v itself if positive, else v - 1 (F.1.2.1). With
// m = v >> 31, the magnitude is (v ^ m) - m, and the bits are the low s bits of v + m.
struct Magnitude {
    uint32_t magnitude;
    uint32_t size;
    uint32_t bits;
};
static inline uint32_t size_of(uint32_t magnitude) {
#ifdef __LZCNT__
    return 32 - _lzcnt_u32(magnitude);  // 32 for a magnitude of 0, unlike the built-in function
#else
    return 32 - uint32_t(__builtin_clz(magnitude | 1)) - (magnitude == 0);
#endif
}
static inline Magnitude magnitude_of(int32_t value) {
    const int32_t sign = value >> 31;
    const uint32_t magnitude = uint32_t((value ^ sign) - sign);
    const uint32_t size = size_of(magnitude);
    return {magnitude, size, uint32_t(value + sign) & ((1u << size) - 1)};
}

static inline void add_symbol(uint32_t* counts, Symbol*& next, uint32_t number, uint32_t bits) {
    counts[number]++;
    *next++ = number | bits << 16;
}

// The sequential gathering of one component of a scan.
struct GatheredComponent {
    const int16_t* plane = nullptr;
    uint32_t blocks_high = 0, blocks_wide = 0;
    uint32_t mcu_high = 1, mcu_wide = 1;  // blocks of the component in an MCU of the scan
    uint32_t dc_first = 0, ac_first = 0;
    int32_t dc_prediction = 0;
    // All magnitudes of DC differences and of AC coefficients, ORed: whether any was out of range.
    uint32_t dc_magnitudes = 0, ac_magnitudes = 0;
};

struct GatheredScan {
    GatheredComponent components[4];
    int component_count = 0;
    uint32_t* counts = nullptr;  // by symbol number
};

// Symbols that one block has at most: a DC difference, 63 coefficients or fewer with runs and an end of block.
constexpr uint32_t block_symbols = 66;

// The MCUs [column, column_end) of an MCU row, F.1.2. Writes to `next` and returns the end.
using GatherMcus = Symbol* (*)(GatheredScan& scan, uint32_t row, uint32_t column, uint32_t column_end, Symbol* next);

// Packs the codes of symbols into bytes, most significant bit first, filled up with ones (F.1.2.3) and not yet stuffed.
// Writes up to 8 bytes beyond the end that it returns. coded[] by symbol number.
using PackSymbols = uint8_t* (*)(const Symbol* begin, const Symbol* end, const CodedSymbol* coded, uint8_t* out);

// Note [Bit maps of a block]
// Progressive scans tell a few bits of each coefficient at a time. So a block is first turned into bit maps, in which coefficient
// k of the zigzag order is bit 63 - k: then the bits of many coefficients, taken in the order of the map, are in the order of
// the file. With `top` the highest Al of the component's scans, a block has the maps
//   [0]  negative coefficients,
//   [1]  coefficients with a magnitude of at least 1 << top,
//   [2], ..., [1 + top]  bit top - 1, ..., 0 of the magnitudes.
constexpr int map_count(int top) { return 2 + top; }

// Fills the maps and the DC coefficients of `count` blocks; returns all AC magnitudes, ORed.
using MapBlocks = uint32_t (*)(const int16_t* blocks, uint64_t count, int top, int16_t* dc, uint64_t* maps);

// The progressive gathering of one AC scan (G.1.2.2, G.1.2.3) or DC refinement.
struct GatheredBand {
    const int16_t* blocks = nullptr;
    const uint64_t* maps = nullptr;
    int top = 0;
    uint32_t Ss = 0, Se = 0, Al = 0;
    uint32_t first = 0;  // of the table's symbols
    uint32_t* counts = nullptr;
    // Blocks whose band has ended since the last symbol. In a refinement, the run's symbol has its place already, before the
    // correction bits of its blocks.
    uint32_t ended_blocks = 0;
    Symbol* run_place = nullptr;
    // Bits without a code that wait for more, fewer than 16 of them.
    uint32_t raw_bits = 0, raw_count = 0;
};

// Symbols that one block has at most in such a scan: each of 63 coefficients with bits after it, runs and an end of band.
constexpr uint32_t band_symbols = 140;

// Blocks [begin, end) of the component, as one scan codes them.
using GatherBand = Symbol* (*)(GatheredBand& band, uint64_t begin, uint64_t end, Symbol* next);
// Ends a restart interval: what waits is written. Needs room for 2 symbols.
using EndBand = Symbol* (*)(GatheredBand& band, Symbol* next);

struct WriteKernels {
    GatherMcus gather_mcus;
    PackSymbols pack_symbols;
    MapBlocks map_blocks;
    GatherBand gather_first;
    GatherBand gather_refinement;
    EndBand end_band;
};
extern const WriteKernels write_kernels_generic;
extern const WriteKernels write_kernels_avx2;

}  // namespace jpegfreq
