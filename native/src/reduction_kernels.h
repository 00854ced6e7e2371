// The loops of Note [Reduction], over the vectors F8 and Wide; included once for each instruction set before
// resample_kernels.h, which says what they have to offer. No include guard on purpose.

namespace jpegfreq {
namespace {

// W(o, b, v) times the dequantization, for output row `row` and the block row whose first sample is `top`.
inline void weigh_row(const Reduction& r, uint32_t row, uint32_t top, float* to) {
    const float* weights = r.weights + size_t(row) * r.count;
    const uint32_t start = r.start[row];
    F8 sum = F8::broadcast(0.0f);
    for (uint32_t y = 0; y < 8; ++y) {
        const uint32_t tap = top + y - start;  // wraps around before the first one
        if (tap < r.count) sum = multiply_add(F8::broadcast(weights[tap]), F8::load(r.basis + 8 * y), sum);
    }
    alignas(32) float by_frequency[8];
    store(by_frequency, sum);
    for (int v = 0; v < 8; ++v) store(to + 8 * v, F8::broadcast(by_frequency[v]) * F8::load(r.dequantize + 8 * v));
}

// Whether any coefficient in the lower half of some neighbouring blocks is not zero. To look for blocks with a DC coefficient
// only gains nothing: the branch is taken wrong too often.
template <uint32_t Blocks>
[[gnu::always_inline]] inline bool any_in_lower_half(const int16_t* block) {
    uint64_t any = 0;
    for (uint32_t b = 0; b < Blocks; ++b) {
        uint64_t words[8];
        __builtin_memcpy(words, block + 64 * b + 32, sizeof words);
        for (uint64_t word : words) any |= word;
    }
    return any != 0;
}

// The output rows that a block row reaches, as many at a time as the registers hold pointers to.
constexpr uint32_t most_rows_together = 4;
struct RowSums {
    float* sums[most_rows_together];
    const float* weights[most_rows_together];
};

// Adds the first `Rows` rows of the blocks from number `i` on, one for each group of F, in `Count` output rows.
template <int Rows, int Count, class F>
[[gnu::always_inline]] inline void add_blocks(const RowSums& rows, const int16_t* block, size_t i) {
    F x[Rows];
    for (int v = 0; v < Rows; ++v) {
        const int16_t* from[F::groups];
        for (uint32_t g = 0; g < F::groups; ++g) from[g] = block + 64 * g + 8 * v;
        x[v] = F::load_int16(from);
    }
    for (int k = 0; k < Count; ++k) {
        const float* weights = rows.weights[k];
        float* to = rows.sums[k] + 8 * i;
        F even = multiply_add(x[0], F::repeat(weights), F::load(to));
        F odd = x[1] * F::repeat(weights + 8);
        for (int v = 2; v < Rows; v += 2) {
            even = multiply_add(x[v], F::repeat(weights + 8 * v), even);
            odd = multiply_add(x[v + 1], F::repeat(weights + 8 * (v + 1)), odd);
        }
        store(to, even + odd);
    }
}

template <int Count, class F>
[[gnu::always_inline]] inline void add_blocks(const RowSums& rows, const int16_t* block, size_t i) {
    any_in_lower_half<F::groups>(block) ? add_blocks<8, Count, F>(rows, block, i)
                                        : add_blocks<4, Count, F>(rows, block, i);
}

template <int Count>
void add_block_row(const RowSums& rows, const int16_t* block, uint32_t block_columns) {
    uint32_t i = 0;
    for (; i + Wide::groups <= block_columns; i += Wide::groups)
        add_blocks<Count, Wide>(rows, block + size_t(64) * i, i);
    for (; i < block_columns; ++i) add_blocks<Count, F8>(rows, block + size_t(64) * i, i);
}

void add_block_row(const Reduction& r, const int16_t* block) {
    for (uint32_t row = r.done; row < r.begun; row += most_rows_together) {
        const uint32_t left = r.begun - row;
        RowSums rows;
        for (uint32_t k = 0; k < most_rows_together && k < left; ++k) {
            const uint32_t slot = (row + k) % r.slots;
            rows.sums[k] = r.sums + slot * r.sums_stride;
            rows.weights[k] = r.row_weights + 64 * slot;
        }
        switch (left) {
            case 1: add_block_row<1>(rows, block, r.block_columns); break;
            case 2: add_block_row<2>(rows, block, r.block_columns); break;
            case 3: add_block_row<3>(rows, block, r.block_columns); break;
            default: add_block_row<4>(rows, block, r.block_columns);
        }
    }
}

// The horizontal taps of an output row whose sums are complete.
void finish_row(const Reduction& r, uint32_t row) {
    const float* sums = r.sums + (row % r.slots) * r.sums_stride;
    float* to = r.image + size_t(row) * r.columns;
    const float* weights = r.block_weights;
    for (uint32_t column = 0; column < r.columns; column += 8) {
        F8 x[8];
        for (int i = 0; i < 8; ++i) {
            const float* from = sums + 8 * r.first_block[column + uint32_t(i)];
            x[i] = F8::load(from) * F8::load(weights);
            for (uint32_t block = 1; block < r.blocks; ++block)
                x[i] = multiply_add(F8::load(from + 8 * block), F8::load(weights + 8 * block), x[i]);
            weights += 8 * r.blocks;
        }
        transpose(x);
        store(to + column, ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7])));
    }
}

void reduce(Reduction& r, uint32_t block_row_end) {
    for (; r.next_block_row < block_row_end && r.done < r.rows; ++r.next_block_row) {
        const uint32_t top = 8 * r.next_block_row;
        for (; r.begun < r.rows && r.start[r.begun] < top + 8; ++r.begun) {
            float* sums = r.sums + (r.begun % r.slots) * r.sums_stride;
            for (uint32_t i = 0; i < r.block_columns; ++i) store(sums + 8 * i, F8::broadcast(0.0f));
        }
        if (r.begun == r.done) continue;  // no tap reads this block row
        for (uint32_t row = r.done; row < r.begun; ++row) weigh_row(r, row, top, r.row_weights + 64 * (row % r.slots));
        add_block_row(r, r.plane + r.next_block_row % r.held_rows * r.row_stride + size_t(64) * r.first_block_column);
        for (; r.done < r.begun && r.start[r.done] + r.count <= top + 8; ++r.done) finish_row(r, r.done);
    }
}

// Row of blocks of a group in a band. Instead of one below the last, which no tap reads, the last once more.
inline size_t row_of_band(const ResamplePass& pass, uint32_t band, uint32_t group) {
    const uint32_t row = Wide::groups * band + group;
    return pass.first_block_row + (row < pass.block_rows ? row : pass.block_rows - 1);
}

// A band of a reduced image, as columns of rows, which the horizontal DCT takes.
void load_band(const ResamplePass& pass, uint32_t band, uint32_t begin, uint32_t end) {
    const float* rows[Wide::groups];
    const size_t step = pass.transpose ? 8 : 8 * pass.image_columns;  // from a row of blocks to the next
    for (uint32_t g = 0; g < Wide::groups; ++g) rows[g] = pass.image + row_of_band(pass, band, g) * step;
    float* columns = pass.columns + size_t(64 * Wide::groups) * begin;
    for (uint32_t i = begin; i < end; ++i, columns += 64 * Wide::groups) {
        Wide x[8];
        for (uint32_t j = 0; j < 8; ++j) {
            const size_t offset =
                pass.transpose ? size_t(8 * i + j) * pass.image_columns : j * pass.image_columns + size_t(8) * i;
            const float* from[Wide::groups];
            for (uint32_t g = 0; g < Wide::groups; ++g) from[g] = rows[g] + offset;
            x[j] = Wide::load_groups(from);
        }
        if (!pass.transpose) transpose(x);
        for (uint32_t j = 0; j < 8; ++j) store(columns + 8 * Wide::groups * j, x[j]);
    }
}

}  // namespace
}  // namespace jpegfreq
