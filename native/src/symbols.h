// A scan on its way to bits: first all symbols with their further bits, in order, while they are counted; then, once the
// counts have made the Huffman tables, one code after another.
#pragma once

#include <cstdint>

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

// The sequential gathering of one component of a scan.
struct GatheredComponent {
    const int16_t* plane = nullptr;
    uint32_t blocks_high = 0, blocks_wide = 0;
    uint32_t mcu_high = 1, mcu_wide = 1;  // blocks of the component in an MCU of the scan
    uint32_t dc_first = 0, ac_first = 0;
    int32_t dc_prediction = 0;
};

struct GatheredScan {
    GatheredComponent components[4];
    int component_count = 0;
    uint32_t* counts = nullptr;  // by symbol number
    // All magnitudes of DC differences and of AC coefficients, ORed: whether any was out of range.
    uint32_t dc_magnitudes = 0, ac_magnitudes = 0;
};

// Symbols that one block has at most: a DC difference, 63 coefficients or fewer with runs and an end of block.
constexpr uint32_t block_symbols = 66;

// The MCUs [column, column_end) of an MCU row, F.1.2. Writes to `next` and returns the end.
using GatherMcus = Symbol* (*)(GatheredScan& scan, uint32_t row, uint32_t column, uint32_t column_end, Symbol* next);

// Packs the codes of symbols into bytes, most significant bit first, filled up with ones (F.1.2.3) and not yet stuffed.
// Writes up to 8 bytes beyond the end that it returns. coded[] by symbol number.
using PackSymbols = uint8_t* (*)(const Symbol* begin, const Symbol* end, const CodedSymbol* coded, uint8_t* out);

struct WriteKernels {
    GatherMcus gather_mcus;
    PackSymbols pack_symbols;
};
extern const WriteKernels write_kernels_generic;
extern const WriteKernels write_kernels_avx2;

}  // namespace jpegfreq
