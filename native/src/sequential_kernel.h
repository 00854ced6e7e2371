// The loop of sequential.h, included once for each instruction set inside its own namespace; no include guard on purpose.

inline uint64_t load_big_endian(const uint8_t* p) {
    uint64_t word;
    __builtin_memcpy(&word, p, 8);
    return __builtin_bswap64(word);
}

// A loop of vector stores: __builtin_memset of 128 bytes becomes `rep stos`, which costs more than the block's decoding.
typedef uint64_t Vector __attribute__((vector_size(VECTOR_BYTES), aligned(16), may_alias));
inline void zero_block(int16_t* block) {
    for (int i = 0; i < 128 / VECTOR_BYTES; i++) reinterpret_cast<Vector*>(block)[i] = Vector{};
}

// Note [Bit window]
// `window` holds the next bits of the stream, left-aligned, followed by a 1: shifting it left by the bits used leaves the
// count of used bits in its trailing zeros. refill() gives at least 56 bits. Reading past the end of a segment gives bits
// of the next one or of the padding; the caller compares positions once per MCU.
struct BitWindow {
    const uint8_t* bytes;
    uint64_t position;  // bits, of the window's first bit when it was filled
    uint64_t window;

    inline void fill() { window = load_big_endian(bytes + (position >> 3)) << (position & 7) | 1; }
    inline uint64_t current() const { return position + unsigned(__builtin_ctzll(window)); }
    inline void refill() {
        position = current();
        fill();
    }
};

// A symbol that the table could not decode whole. Returns its entry as the table would have had it; length 0: no such code.
inline uint32_t decode_escape(const HuffmanTable& table, BitWindow& in, int32_t& value) {
    in.refill();  // a code of 16 bits and a value of 15 fit
    uint32_t entry = table.entries[in.window >> (64 - table_bits)];
    int length = int(entry & 63), size = int(entry >> 16);
    uint32_t advance = entry >> 8 & 255;
    if (length == 0) {
        const LongCode found = find_long_code(table, uint32_t(in.window >> 48));
        if (found.length == 0) return 0;
        length = found.length;
        size = table.is_dc ? found.symbol : found.symbol & 15;
        const uint32_t run = found.symbol >> 4;
        advance = size ? run + 1 : run == 15 ? 16 : advance_end_of_block;
    }
    in.window <<= length;
    value = size ? extend(uint32_t(in.window >> (64 - size)), size) : 0;
    in.window <<= size;
    return uint32_t(length + size) | advance << 8;
}

// F.2.2: one block. `block` is zero, natural order. `dc` is the running prediction.
inline Stop decode_block(const HuffmanTable& dc_table, const HuffmanTable& ac_table, BitWindow& in, uint32_t& dc,
                         int16_t* block) {
    in.refill();
    uint32_t entry = dc_table.entries[in.window >> (64 - table_bits)];
    if (__builtin_expect(entry & entry_escape, 0)) {
        int32_t difference;
        if (decode_escape(dc_table, in, difference) == 0) return Stop::bad_code;
        dc += uint32_t(difference);
        in.refill();
    } else {
        in.window <<= entry & 63;
        dc += uint32_t(int32_t(entry) >> 16);
    }
    block[0] = int16_t(dc);
    uint32_t k = 0;
    while (true) {
        // refill() left 56 bits and the DC took at most 10: four symbols of at most 10 fit.
        for (int i = 0; i < 4; i++) {
            entry = ac_table.entries[in.window >> (64 - table_bits)];
            if (__builtin_expect(entry & entry_escape, 0)) {
                int32_t value;
                const uint32_t escaped = decode_escape(ac_table, in, value);
                if (escaped == 0) return Stop::bad_code;
                k += escaped >> 8;
                if (k > 63) return k >= 128 ? Stop::done : Stop::past_63;
                block[natural_order[k]] = int16_t(value);
                if (k == 63) return Stop::done;
                break;
            }
            in.window <<= entry & 63;
            k += entry >> 8 & 255;
            if (k >= 63) {
                if (k >= 128) return Stop::done;
                if (k > 63) return Stop::past_63;
                block[63] = int16_t(entry >> 16);
                return Stop::done;
            }
            block[natural_order[k]] = int16_t(entry >> 16);
        }
        in.refill();
    }
}

inline Stop decode_mcus(const SequentialScan& scan, const uint8_t* bytes, uint64_t end, uint64_t mcu_end,
                        Cursor& cursor) {
    alignas(64) int16_t spare[64];
    uint32_t* const dc = cursor.dc;
    BitWindow in{bytes, cursor.bit_position, 0};
    in.fill();
    int16_t* rows[blocks_per_mcu_limit];
    // Among the needed blocks of its row. It wraps around left of the first one, and is not below `wide` then.
    uint64_t columns[blocks_per_mcu_limit], wide[blocks_per_mcu_limit];
    uint64_t mcu = cursor.mcu;
    Stop stop = Stop::done;
    while (mcu < mcu_end) {
        const uint64_t mcu_y = mcu / scan.mcus_wide;
        const uint64_t mcu_x = mcu % scan.mcus_wide;
        const uint64_t held_y = mcu_y % scan.held_mcu_rows;
        for (int b = 0; b < scan.blocks_per_mcu; b++) {
            const auto& part = scan.components[scan.blocks[b].component];
            const uint64_t row = mcu_y * part.mcu_height + scan.blocks[b].y;
            const BlockRange& needed = part.needed;
            const bool row_needed = row >= needed.row_begin && row < needed.row_end;
            columns[b] = mcu_x * part.mcu_width + scan.blocks[b].x - needed.column_begin;
            wide[b] = row_needed ? needed.column_end - needed.column_begin : 0;
            const uint64_t held_row = held_y * part.mcu_height + scan.blocks[b].y;
            rows[b] = part.plane + (held_row * part.row_blocks + needed.column_begin) * 64;
        }
        const uint64_t left_in_row = scan.mcus_wide - mcu_x;
        const uint64_t row_end = mcu_end - mcu < left_in_row ? mcu_end : mcu + left_in_row;
        for (; mcu < row_end; mcu++) {
            for (int b = 0; b < scan.blocks_per_mcu; b++) {
                const int component = scan.blocks[b].component;
                const auto& part = scan.components[component];
                const uint64_t column = columns[b];
                columns[b] = column + part.mcu_width;
                int16_t* target = column < wide[b] ? rows[b] + column * 64 : spare;
                int16_t* block = scan.merge ? spare : target;
                zero_block(block);
                stop = decode_block(*part.dc, *part.ac, in, dc[component], block);
                if (__builtin_expect(stop != Stop::done, 0)) goto stopped;
                if (scan.merge && target != spare) {
                    target[0] = spare[0];
                    for (int k = 1; k < 64; k++) target[k] = spare[k] ? spare[k] : target[k];
                }
            }
            if (__builtin_expect(in.current() > 8 * end, 0)) goto stopped;
        }
    }
stopped:
    if (in.current() > 8 * end) stop = Stop::overrun;
    cursor.mcu = mcu;
    cursor.bit_position = in.current();
    return stop;
}
