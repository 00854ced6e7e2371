// The resample of one component. Included by one file for each instruction set, after it has defined, in an anonymous namespace,
// the vector F8 of 8 floats and Wide, which is F8 or has several groups of 8 floats, and Several, which is Wide or Two<Wide>. The
// operations of the first two:
//   F::groups, F::load, F::broadcast, F::load_groups: each group from its own address, F::load_int16: likewise,
//   F::repeat: 8 floats in each group, group: one of them as an F8,
//   store, store_partial, stream, store_int8, finish_stream; store_short, store_short_partial, stream_short: likewise, as Half or
//   Bfloat16; store_short_blocks, where Wide has several groups: the rows of a block in each group, as either,
//   scatter<Width>: each `Width` elements `stride` floats after the previous ones; scatter_two, where Several is Two<Wide>:
//   scatter<8> of both vectors to neighbouring places; scatter_partial, where the one below is slow,
//   + - *, multiply_add(a, b, c) = a * b + c, multiply_subtract(a, b, c) = a * b - c,
//   negative_multiply_add(a, b, c) = c - a * b,
//   transpose: 8 vectors, each group for itself; join_rows: 8 vectors, whose groups are rows of 8 floats of as many blocks,
//   to all rows of the first block, then those of the next.
// Uses no library, so that no code for one instruction set reaches a function shared with another.
//
// Note [Lanes]
// Band: as many rows of samples as Wide has lanes; a group is a row of blocks. Vertical inverse DCT with lanes = u;
// transpose; horizontal inverse DCT with lanes = the rows, which leaves columns of rows. Horizontal taps and DCT run over such
// columns. A second transpose makes rows, for the ring: "interleaved" rows with lanes = u, where the 64 channels of a block go
// out together, else "planar" rows with lanes = neighbouring blocks, one run for each u that some channel needs. Vertical taps
// and DCT then run over rows; groups are then blocks, or groups of 8 blocks, that are neighbours in a row.
// Every lane sees the same operations in the same order, so the width changes no result.

#include "resample_two.h"

namespace jpegfreq {
namespace {

constexpr uint32_t wide_lanes = 8 * Wide::groups;

// Inverse DCT of 8 (Arai, Agui, Nakajima), with its scale factors in the dequantization table, from its first sums and
// differences.
template <class F>
[[gnu::always_inline]] inline void finish_inverse_dct(F sum04, F difference04, F sum26, F difference26, F sum53,
                                                      F difference53, F sum17, F difference17, F (&x)[8]) {
    const F e2 = multiply_subtract(difference26, F::broadcast(1.414213562f), sum26);
    const F a0 = sum04 + sum26, a3 = sum04 - sum26, a1 = difference04 + e2, a2 = difference04 - e2;

    const F b7 = sum17 + sum53;
    const F tangent = F::broadcast(0.414213562f);  // tan(pi / 8)
    const F rotate = F::broadcast(1.847759065f);   // 2 cos(pi / 8)
    const F b6 = multiply_subtract(negative_multiply_add(difference53, tangent, difference17), rotate, b7);
    const F b5 = multiply_subtract(sum17 - sum53, F::broadcast(1.414213562f), b6);
    const F b4 = multiply_subtract(multiply_add(difference17, tangent, difference53), rotate, b5);
    x[0] = a0 + b7, x[7] = a0 - b7;
    x[1] = a1 + b6, x[6] = a1 - b6;
    x[2] = a2 + b5, x[5] = a2 - b5;
    x[3] = a3 + b4, x[4] = a3 - b4;
}

template <class F>
[[gnu::always_inline]] inline void inverse_dct(F (&x)[8]) {
    finish_inverse_dct<F>(x[0] + x[4], x[0] - x[4], x[2] + x[6], x[2] - x[6], x[5] + x[3], x[5] - x[3], x[1] + x[7],
                          x[1] - x[7], x);
}

// Of x times `by`. The fused operations are named, so that compilers cannot choose which of two products is rounded.
template <class F>
[[gnu::always_inline]] inline void inverse_dct_of_products(F (&x)[8], const F (&by)[8]) {
    const F product4 = x[4] * by[4], product5 = x[5] * by[5], product6 = x[6] * by[6], product7 = x[7] * by[7];
    finish_inverse_dct<F>(multiply_add(x[0], by[0], product4), multiply_subtract(x[0], by[0], product4),
                          multiply_add(x[2], by[2], product6), multiply_subtract(x[2], by[2], product6),
                          multiply_add(x[3], by[3], product5), negative_multiply_add(x[3], by[3], product5),
                          multiply_add(x[1], by[1], product7), multiply_subtract(x[1], by[1], product7), x);
}

// Forward DCT of 8, with its scale factors in the output's scale.
template <class F>
[[gnu::always_inline]] inline void forward_dct(F (&x)[8]) {
    const F t0 = x[0] + x[7], t7 = x[0] - x[7], t1 = x[1] + x[6], t6 = x[1] - x[6];
    const F t2 = x[2] + x[5], t5 = x[2] - x[5], t3 = x[3] + x[4], t4 = x[3] - x[4];

    const F e0 = t0 + t3, e3 = t0 - t3, e1 = t1 + t2, e2 = t1 - t2;
    const F half = F::broadcast(0.707106781f);
    const F e23 = e2 + e3;
    x[0] = e0 + e1, x[4] = e0 - e1;
    x[2] = multiply_add(e23, half, e3), x[6] = negative_multiply_add(e23, half, e3);

    const F o0 = t4 + t5, o1 = t5 + t6, o2 = t6 + t7;
    const F tangent = F::broadcast(0.414213562f);
    const F cosine = F::broadcast(0.923879533f);  // cos(pi / 8)
    const F z2 = negative_multiply_add(o2, tangent, o0);
    const F z4 = multiply_add(o0, tangent, o2);
    const F z11 = multiply_add(o1, half, t7), z13 = negative_multiply_add(o1, half, t7);
    x[5] = multiply_add(z2, cosine, z13), x[3] = negative_multiply_add(z2, cosine, z13);
    x[1] = multiply_add(z4, cosine, z11), x[7] = negative_multiply_add(z4, cosine, z11);
}

// The blocks of a band from `blocks` on, one of each row of blocks in each part of F; `next` values from a block to the next.
template <class F>
[[gnu::always_inline]] inline void inverse_blocks(const int16_t* const (&blocks)[Wide::groups], size_t next,
                                                  const float* dequantize, float* columns) {
    F x[8], factors[8];
    for (uint32_t v = 0; v < 8; ++v) {
        for (uint32_t k = 0; k < parts<F>; ++k) {
            const int16_t* rows[Wide::groups];
            for (uint32_t g = 0; g < Wide::groups; ++g) rows[g] = blocks[g] + k * next + 8 * v;
            part(x[v], k) = Wide::load_int16(rows);
            part(factors[v], k) = Wide::repeat(dequantize + 8 * v);
        }
    }
    inverse_dct_of_products(x, factors);
    transpose(x);
    inverse_dct(x);
    for (uint32_t k = 0; k < parts<F>; ++k) {
        for (uint32_t i = 0; i < 8; ++i) store(columns + wide_lanes * (8 * k + i), part(x[i], k));
    }
}

// Of blocks whose rows and columns are exchanged.
void inverse_turned(const int16_t* const (&blocks)[Wide::groups], const float* dequantize, float* columns) {
    int16_t turned[Wide::groups][64];
    const int16_t* from[Wide::groups];
    for (uint32_t g = 0; g < Wide::groups; ++g) {
        for (int k = 0; k < 64; ++k) turned[g][k] = blocks[g][8 * (k & 7) + (k >> 3)];
        from[g] = turned[g];
    }
    inverse_blocks<Wide>(from, 0, dequantize, columns);
}

// Has two cache lines of each block of a band moved to the second-level cache.
[[gnu::always_inline]] inline void prefetch_blocks(const int16_t* const (&blocks)[Wide::groups], size_t offset,
                                                   uint32_t count) {
    for (uint32_t g = 0; g < Wide::groups; ++g) {
        for (uint32_t line = 0; line < 2 * count; ++line) __builtin_prefetch(blocks[g] + offset + 32 * line, 0, 2);
    }
}

// The columns of the blocks [begin, end), counted from first_block_column.
void inverse_band(const ResamplePass& pass, uint32_t band, uint32_t begin, uint32_t end) {
    if (pass.image) return load_band(pass, band, begin, end);
    const int16_t* blocks[Wide::groups];
    for (uint32_t g = 0; g < Wide::groups; ++g) {
        blocks[g] = pass.plane + row_of_band(pass, band, g) * pass.row_stride +
                    (pass.first_block_column + begin) * pass.column_stride;
    }
    // Copies, which no store can change.
    float* columns = pass.columns + size_t(8 * wide_lanes) * begin;
    const float* const dequantize = pass.dequantize;
    const size_t next = pass.column_stride;
    // Every band begins somewhere else, which the processor cannot foresee.
    const bool last = Wide::groups * (band + 1) >= pass.block_rows;
    const size_t next_band = last ? 0 : Wide::groups * pass.row_stride;
    for (uint32_t i = begin; i < end;) {
        uint32_t done = 1;
        prefetch_blocks(blocks, next_band, parts<Several>);
        if (pass.transpose) {
            inverse_turned(blocks, dequantize, columns);
        } else if (i + parts<Several> <= end) {
            inverse_blocks<Several>(blocks, next, dequantize, columns);
            done = parts<Several>;
        } else {
            inverse_blocks<Wide>(blocks, next, dequantize, columns);
        }
        for (uint32_t g = 0; g < Wide::groups; ++g) blocks[g] += done * next;
        columns += done * 8 * wide_lanes;
        i += done;
    }
}

// One output sample per lane: `count` taps, `step` floats from one to the next. Count is `count`, or 0 where that varies.
template <int Count, class F>
[[gnu::always_inline]] inline F apply_taps(const float* from, size_t step, const float* weights, uint32_t count) {
    if (Count == 2) {  // weights add up to 1
        const F first = F::load(from);
        return multiply_add(F::load(from + step) - first, F::broadcast(weights[1]), first);
    }
    F sum = F::load(from) * F::broadcast(weights[0]);
    const uint32_t last = Count ? Count : count;
    for (uint32_t t = 1; t < last; ++t) sum = multiply_add(F::load(from + t * step), F::broadcast(weights[t]), sum);
    return sum;
}

// What the horizontal taps read: a copy, which no store can change.
struct ColumnTaps {
    const float* columns;
    const uint32_t* offset;
    const float* weights;
    uint32_t count;

    explicit ColumnTaps(const ResamplePass& pass)
        : columns(pass.columns),
          offset(pass.horizontal_offset),
          weights(pass.horizontal_weights),
          count(pass.horizontal_count) {}
};

// Taps and DCT of the 8 output columns of a block, and of its right neighbour in the second part of F: x[u], lanes = rows.
template <int Count, class F>
[[gnu::always_inline]] inline void horizontal_block(const ColumnTaps& taps, uint32_t block, F (&x)[8]) {
    const uint32_t count = Count ? Count : taps.count;
    const float* weights = taps.weights + size_t(8) * block * count;
    const uint32_t* offset = taps.offset + 8 * block;
    for (uint32_t i = 0; i < 8; ++i) {
        for (uint32_t k = 0; k < parts<F>; ++k) {
            part(x[i], k) = apply_taps<Count, Wide>(taps.columns + offset[8 * k + i], wide_lanes,
                                                    weights + (8 * k + i) * count, count);
        }
    }
    forward_dct(x);
}

// Turned columns to their rows of the ring.
[[gnu::always_inline]] inline void store_rows(float* ring, size_t stride, const Wide (&x)[8]) {
    for (int y = 0; y < 8; ++y) scatter<8>(ring + y * stride, 8 * stride, x[y]);
}
template <class F>
[[gnu::always_inline]] inline void store_rows(float* ring, size_t stride, const Two<F> (&x)[8]) {
    for (int y = 0; y < 8; ++y) scatter_two(ring + y * stride, 8 * stride, x[y].first, x[y].second);
}

template <int Count, class F>
[[gnu::always_inline]] inline void interleaved_block(const ColumnTaps& taps, uint32_t block, float* ring,
                                                     size_t stride) {
    F x[8];
    horizontal_block<Count>(taps, block, x);
    transpose(x);
    store_rows(ring + 8 * block, stride, x);
}

template <int Count>
void horizontal_interleaved(const ResamplePass& pass, float* ring, uint32_t begin, uint32_t end) {
    const ColumnTaps taps(pass);
    const size_t stride = pass.ring_stride;
    uint32_t block = begin;
    for (; block + parts<Several> <= end; block += parts<Several>)
        interleaved_block<Count, Several>(taps, block, ring, stride);
    for (; block < end; ++block) interleaved_block<Count, Wide>(taps, block, ring, stride);
}

// The channels of a component by u, as planar passes work on them.
struct Needed {
    struct Column {
        uint8_t u;
        uint8_t count;
        uint8_t v[8];
        uint8_t channel[8];  // number within the component, in the order of the output
    };
    uint32_t count = 0;
    bool low = true;  // no v or u above 3: half of every DCT is not needed
    Column columns[8];
};

Needed needed_frequencies(const ResamplePass& pass) {
    Needed needed;
    int index[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    for (uint32_t k = 0; k < pass.channel_count; ++k) {
        const int v = pass.frequencies[k] >> 3, u = pass.frequencies[k] & 7;
        if (index[u] < 0) {
            index[u] = int(needed.count);
            needed.columns[needed.count].u = uint8_t(u);
            needed.columns[needed.count++].count = 0;
        }
        if (v > 3 || u > 3) needed.low = false;
        Needed::Column& column = needed.columns[index[u]];
        column.v[column.count] = uint8_t(v);
        column.channel[column.count++] = uint8_t(k);
    }
    return needed;
}

template <int Count, bool Low>
void horizontal_planar(const ResamplePass& pass, const Needed& needed, float* ring, uint32_t begin, uint32_t end) {
    const ColumnTaps taps(pass);
    for (uint32_t group = begin / 8; group < (end + 7) / 8; ++group) {
        alignas(64) float turned[8][8 * wide_lanes];  // [block][u][row]
        const uint32_t left = pass.blocks_wide - 8 * group;
        const uint32_t blocks = left < 8 ? left : 8;
        for (uint32_t b = 0; b < 8; ++b) {
            Wide x[8];
            horizontal_block<Count>(taps, 8 * group + (b < blocks ? b : blocks - 1), x);
            for (uint32_t u = 0; u < (Low ? 4 : 8); ++u) store(turned[b] + wide_lanes * u, x[u]);
        }
        for (uint32_t i = 0; i < needed.count; ++i) {
            Wide x[8];
            for (int b = 0; b < 8; ++b) x[b] = Wide::load(turned[b] + wide_lanes * needed.columns[i].u);
            transpose(x);
            store_rows(ring + i * pass.run_stride + 8 * group, pass.ring_stride, x);
        }
    }
}

// What the vertical taps of one output block row read: the first row of the ring for each of its 8 rows, `stride` floats from one
// row of the ring to the next, and weights [8][count].
struct RowTaps {
    const float* rows[8];
    const float* weights;
    size_t stride;
    uint32_t count;
};

// Taps and DCT of one vector column, and of the next one in the second part of X: x[v].
template <int Count, class F, class X = F>
[[gnu::always_inline]] inline void vertical_block(const RowTaps& taps, size_t offset, X (&x)[8]) {
    const uint32_t count = Count ? Count : taps.count;
    for (uint32_t i = 0; i < 8; ++i) {
        for (uint32_t k = 0; k < parts<X>; ++k) {
            part(x[i], k) = apply_taps<Count, F>(taps.rows[i] + offset + 8 * F::groups * k, taps.stride,
                                                 taps.weights + i * count, count);
        }
    }
    forward_dct(x);
}

// The stores of each type under one name.
template <class F>
inline void store_part(float* to, const F& x, uint32_t count) {
    count == 8 * F::groups ? store(to, x) : store_partial(to, x, count);
}
template <class T, class F>
inline void store_part(T* to, const F& x, uint32_t count) {
    count == 8 * F::groups ? store_short(to, x) : store_short_partial(to, x, count);
}
template <class F>
inline void store_part(int8_t* to, const F& x, uint32_t count) {
    store_int8(to, x, count);
}
inline void stream_part(float* to, const Wide& x) { stream(to, x); }
template <class T>
inline void stream_part(T* to, const Wide& x) {
    stream_short(to, x);
}
inline void stream_part(int8_t* to, const Wide& x) { store_int8(to, x, wide_lanes); }

// Calls `use` with `to` as a pointer to values of the type.
template <class Use>
[[gnu::always_inline]] inline void with_type(TensorType type, void* to, const Use& use) {
    switch (type) {
        case TensorType::float32: return use(static_cast<float*>(to));
        case TensorType::float16: return use(static_cast<Half*>(to));
        case TensorType::bfloat16: return use(static_cast<Bfloat16*>(to));
        case TensorType::int8: return use(static_cast<int8_t*>(to));
    }
}

// Where whole blocks go: `stride` values from one to the next.
template <class T>
struct Blocks {
    T* to;
    size_t stride;
    bool stream;
};
template <class T>
Blocks<T> blocks_at(T* to, size_t stride, bool stream) {
    return {to, stride, stream};
}

// Where a row of 16-bit values is a row of the block.
template <class T, class F>
[[gnu::always_inline]] inline void store_short_blocks(T* to, size_t, const F (&x)[8], bool stream) {
    for (int v = 0; v < 8; ++v) stream ? stream_short(to + 8 * v, x[v]) : store_short(to + 8 * v, x[v]);
}

// Rows of the next `count` blocks, which are groups of x.
template <class T>
[[gnu::always_inline]] inline void store_blocks(Blocks<T>& blocks, Wide (&x)[8], uint32_t count) {
    if constexpr (sizeof(T) == 2) {
        if (count >= Wide::groups) {
            store_short_blocks(blocks.to, blocks.stride, x, blocks.stream);
            blocks.to += Wide::groups * blocks.stride;
            return;
        }
    }
    join_rows(x);
    for (uint32_t b = 0; b < Wide::groups && b < count; ++b) {
        const Wide* rows = x + 64 / wide_lanes * b;
        for (uint32_t i = 0; i < 64 / wide_lanes; ++i) {
            T* const to = blocks.to + wide_lanes * i;
            blocks.stream ? stream_part(to, rows[i]) : store_part(to, rows[i], wide_lanes);
        }
        blocks.to += blocks.stride;
    }
}

// The blocks [first, first + count) of a block row.
template <int Count, class T>
void write_interleaved(const ResamplePass& pass, const RowTaps& row_taps, Blocks<T> blocks, uint32_t first,
                       uint32_t count) {
    // Copies, which no store can change.
    const RowTaps taps = row_taps;
    Wide scale[8], shift[8];
    for (int v = 0; v < 8; ++v)
        scale[v] = Wide::repeat(pass.scale + 8 * v), shift[v] = Wide::repeat(pass.shift + 8 * v);
    constexpr uint32_t step = parts<Several> * Wide::groups;
    const uint32_t end = first + count;
    uint32_t block = first;
    for (; block + step <= end; block += step) {
        Several x[8];
        vertical_block<Count, Wide>(taps, size_t(8) * block, x);
        for (uint32_t k = 0; k < parts<Several>; ++k) {
            Wide rows[8];
            for (int v = 0; v < 8; ++v) rows[v] = multiply_add(part(x[v], k), scale[v], shift[v]);
            store_blocks(blocks, rows, Wide::groups);
        }
    }
    for (; block < end; block += Wide::groups) {
        Wide x[8];
        vertical_block<Count, Wide>(taps, size_t(8) * block, x);
        for (int v = 0; v < 8; ++v) x[v] = multiply_add(x[v], scale[v], shift[v]);
        store_blocks(blocks, x, end - block);
    }
}

// The blocks [first, first + count) of a block row, to `out` or to the staging, where they come first.
template <int Count>
void vertical_interleaved(const ResamplePass& pass, const RowTaps& taps, uint32_t block_row, uint32_t first,
                          uint32_t count) {
    const size_t stride = pass.output_channels;
    if (pass.staging)
        return write_interleaved<Count>(pass, taps, blocks_at(pass.staging + pass.positions[0], stride, false), first,
                                        count);
    const size_t begin = (size_t(block_row) * pass.blocks_wide + first) * stride + pass.positions[0];
    with_type(pass.type, pass.out, [&](auto* out) {
        write_interleaved<Count>(pass, taps, blocks_at(out + begin, stride, pass.stream), first, count);
    });
}

// All blocks of one u in one block row. to[v]: where finished rows go; null where v is not needed.
template <int Count, bool Low>
void vertical_planar(const ResamplePass& pass, const Needed& needed, uint32_t column, const RowTaps& taps,
                     float* const (&to)[8]) {
    constexpr int frequencies = Low ? 4 : 8;
    const float* scale = pass.scale + needed.columns[column].u;
    const float* shift = pass.shift + needed.columns[column].u;
    for (uint32_t block = 0; block < pass.blocks_wide; block += wide_lanes) {
        Wide x[8];
        vertical_block<Count, Wide>(taps, column * pass.run_stride + block, x);
        for (int v = 0; v < frequencies; ++v)
            x[v] = multiply_add(x[v], Wide::broadcast(scale[8 * v]), Wide::broadcast(shift[8 * v]));
        const uint32_t left = pass.blocks_wide - block;
        if (left < wide_lanes) {  // rows have no gaps between them: nothing may be written after their end
            for (int v = 0; v < frequencies; ++v) {
                if (to[v]) store_partial(to[v] + block, x[v], left);
            }
        } else {
            for (int v = 0; v < frequencies; ++v) {
                if (to[v]) store(to[v] + block, x[v]);
            }
        }
    }
}

template <int Count>
void vertical_column(const ResamplePass& pass, const Needed& needed, uint32_t column, const RowTaps& taps,
                     float* const (&to)[8]) {
    needed.low ? vertical_planar<Count, true>(pass, needed, column, taps, to)
               : vertical_planar<Count, false>(pass, needed, column, taps, to);
}

template <class T>
inline void store_values(const float* from, T* to, size_t count) {
    size_t i = 0;
    for (; i + wide_lanes <= count; i += wide_lanes) store_part(to + i, Wide::load(from + i), wide_lanes);
    for (; i < count; i += 8) store_part(to + i, F8::load(from + i), count - i < 8 ? uint32_t(count - i) : 8);
}

// With non-temporal stores for the whole cache lines. Parts of lines at both ends are shared with other runs.
template <class T>
inline void stream_values(const float* from, T* to, size_t count) {
    constexpr size_t line = 64 / sizeof(T);
    const size_t before = (64 - reinterpret_cast<uintptr_t>(to) % 64) % 64 / sizeof(T);
    if (count < before + line) return store_values(from, to, count);
    store_values(from, to, before);
    size_t i = before;
    for (; i + line <= count; i += line) {
        for (size_t j = 0; j < line; j += wide_lanes) stream_part(to + i + j, Wide::load(from + i + j));
    }
    store_values(from + i, to + i, count - i);
}

// A run of `count` values from `from` to the tensor's element `index`.
inline void store_run(const ResamplePass& pass, const float* from, size_t index, size_t count) {
    with_type(pass.type, pass.out, [&](auto* out) {
        pass.stream ? stream_values(from, out + index, count) : store_values(from, out + index, count);
    });
}

// CHW: the block rows [block_row, block_row + row_count), one u after the other. taps: of each of them.
template <int Count>
void vertical_planes(const ResamplePass& pass, const Needed& needed, const RowTaps* taps, uint32_t block_row,
                     uint32_t row_count) {
    const size_t plane = size_t(pass.blocks_high) * pass.blocks_wide;
    const size_t begin = size_t(block_row) * pass.blocks_wide;
    const size_t length = size_t(row_count) * pass.blocks_wide;
    for (uint32_t i = 0; i < needed.count; ++i) {
        const Needed::Column& column = needed.columns[i];
        for (uint32_t r = 0; r < row_count; ++r) {
            float* to[8] = {};
            for (uint32_t n = 0; n < column.count; ++n)
                to[column.v[n]] = pass.rows + n * pass.rows_stride + r * pass.blocks_wide;
            vertical_column<Count>(pass, needed, i, taps[r], to);
        }
        // Memory takes non-temporal stores fastest in long runs with no other stores in between.
        for (uint32_t n = 0; n < column.count; ++n) {
            store_run(pass, pass.rows + n * pass.rows_stride, pass.positions[column.channel[n]] * plane + begin,
                      length);
        }
    }
}

// HWC, of components that are not whole blocks.
template <int Count>
void vertical_channels(const ResamplePass& pass, const Needed& needed, const RowTaps& taps, uint32_t block_row) {
    for (uint32_t i = 0; i < needed.count; ++i) {
        const Needed::Column& column = needed.columns[i];
        float* to[8] = {};
        for (uint32_t n = 0; n < column.count; ++n) to[column.v[n]] = pass.rows + column.channel[n] * pass.rows_stride;
        vertical_column<Count>(pass, needed, i, taps, to);
    }
    const size_t begin = pass.staging ? 0 : size_t(block_row) * pass.blocks_wide * pass.output_channels;
    void* const out = pass.staging ? pass.staging : pass.out;
    const TensorType type = pass.staging ? TensorType::float32 : pass.type;
    for (uint32_t k = 0; k < pass.channel_count;) {
        // Up to 8 channels that are neighbours in the output.
        uint32_t run = 1;
        while (run < 8 && k + run < pass.channel_count && pass.positions[k + run] == pass.positions[k] + run) ++run;
        for (uint32_t first = 0; first < pass.blocks_wide; first += wide_lanes) {
            Wide x[8];
            for (uint32_t i = 0; i < 8; ++i)
                x[i] = Wide::load(pass.rows + (k + (i < run ? i : 0)) * pass.rows_stride + first);
            transpose(x);
            for (uint32_t b = 0; b < wide_lanes && first + b < pass.blocks_wide; ++b) {
                const F8 values = group(x[b % 8], b / 8);
                const size_t index = begin + size_t(first + b) * pass.output_channels + pass.positions[k];
                with_type(type, out, [&](auto* to) { store_part(to + index, values, run); });
            }
        }
        k += run;
    }
}

// "Packed" rows: lanes = the first `Width` frequencies u of 8 / Width neighbouring blocks.
template <int Count, uint32_t Width>
void horizontal_packed(const ResamplePass& pass, float* ring, uint32_t begin, uint32_t end) {
    if (Width == 8) return horizontal_interleaved<Count>(pass, ring, begin, end);
    const ColumnTaps taps(pass);
    const size_t stride = pass.ring_stride;
    ring += Width * begin;
    for (uint32_t block = begin; block < end; block += 8 / Width, ring += 8) {
        Wide packed[8];
        for (uint32_t b = 0; b < 8 / Width; ++b) {
            Wide x[8];
            horizontal_block<Count>(taps, block + b, x);
            for (uint32_t u = 0; u < Width; ++u) packed[b * Width + u] = x[u];
        }
        transpose(packed);
        store_rows(ring, stride, packed);
    }
}

// scatter<Width> of the first `count` elements of every `Width`.
template <int Width, class F>
inline void scatter_partial(float* to, size_t stride, const F& x, uint32_t count) {
    alignas(64) float all[8 * F::groups];
    store(all, x);
    for (uint32_t i = 0; i < 8 * F::groups; i += Width, to += stride) {
        for (uint32_t k = 0; k < count; ++k) to[k] = all[i + k];
    }
}

// What the rows of packed blocks are multiplied by and where they go, from one block to the next `stride` floats.
struct PackedRows {
    alignas(32) float scale[8][8], shift[8][8];
    uint8_t lengths[8];
    bool whole[8];  // whether `Width` elements can be written: those over are overwritten by the next rows
    float* to;
    size_t stride;
};

// One vector column: 8 / Width blocks in each group.
template <int Count, int Width, bool Whole, class F>
[[gnu::always_inline]] inline void packed_column(const PackedRows& rows, const RowTaps& taps, uint32_t block) {
    float* to = rows.to + block * rows.stride;
    F x[8];
    vertical_block<Count, F>(taps, size_t(Width) * block, x);
    for (uint32_t v = 0; v < (Width == 8 ? 8 : 4); ++v) {  // a constant count, which keeps x in registers
        const uint32_t length = rows.lengths[v];
        if (length == 0) continue;
        const F row = multiply_add(x[v], F::repeat(rows.scale[v]), F::repeat(rows.shift[v]));
        Whole || rows.whole[v] ? scatter<Width>(to, rows.stride, row)
                               : scatter_partial<Width>(to, rows.stride, row, length);
        to += length;
    }
}

template <int Count, int Width, bool Whole>
[[gnu::always_inline]] inline void packed_columns(const PackedRows& rows, const RowTaps& taps, uint32_t blocks) {
    uint32_t block = 0;
    for (; block + wide_lanes / Width <= blocks; block += wide_lanes / Width)
        packed_column<Count, Width, Whole, Wide>(rows, taps, block);
    for (; block < blocks; block += 8 / Width) packed_column<Count, Width, Whole, F8>(rows, taps, block);
}

template <int Count, int Width>
void vertical_packed(const ResamplePass& pass, const RowTaps& row_taps) {
    const RowTaps taps = row_taps;  // a copy, which no store can change
    PackedRows rows;
    rows.to = pass.staging + pass.positions[0];
    rows.stride = pass.output_channels;
    uint32_t before = 0;
    bool all_whole = true;
    for (uint32_t v = 0; v < 8; ++v) {
        for (int i = 0; i < 8; ++i) {
            rows.scale[v][i] = pass.scale[8 * v + i % Width];
            rows.shift[v][i] = pass.shift[8 * v + i % Width];
        }
        rows.lengths[v] = pass.packed_lengths[v];
        rows.whole[v] = before + Width <= pass.channel_count;
        all_whole &= rows.whole[v] || rows.lengths[v] == 0;
        before += pass.packed_lengths[v];
    }
    all_whole ? packed_columns<Count, Width, true>(rows, taps, pass.blocks_wide)
              : packed_columns<Count, Width, false>(rows, taps, pass.blocks_wide);
}

// The output blocks [begin, end); `begin` is a multiple of 8.
template <int Count>
void horizontal(const ResamplePass& pass, const Needed& needed, float* ring, uint32_t begin, uint32_t end) {
    if (pass.interleaved) {
        horizontal_interleaved<Count>(pass, ring, begin, end);
    } else if (pass.packed != 0) {
        switch (pass.packed) {
            case 2: return horizontal_packed<Count, 2>(pass, ring, begin, end);
            case 4: return horizontal_packed<Count, 4>(pass, ring, begin, end);
            default: return horizontal_packed<Count, 8>(pass, ring, begin, end);
        }
    } else {
        needed.low ? horizontal_planar<Count, true>(pass, needed, ring, begin, end)
                   : horizontal_planar<Count, false>(pass, needed, ring, begin, end);
    }
}

template <int Count>
void vertical(const ResamplePass& pass, const Needed& needed, const RowTaps* taps, uint32_t block_row,
              uint32_t row_count) {
    if (pass.interleaved) {
        vertical_interleaved<Count>(pass, taps[0], block_row, 0, pass.blocks_wide);
    } else if (pass.packed != 0) {
        switch (pass.packed) {
            case 2: return vertical_packed<Count, 2>(pass, taps[0]);
            case 4: return vertical_packed<Count, 4>(pass, taps[0]);
            default: return vertical_packed<Count, 8>(pass, taps[0]);
        }
    } else if (pass.layout == TensorLayout::hwc) {
        vertical_channels<Count>(pass, needed, taps[0], block_row);
    } else {
        vertical_planes<Count>(pass, needed, taps, block_row, row_count);
    }
}

// The ring's first rows are repeated after its last one, so that a row's taps, which are `count` rows, never wrap around.
void repeat_first_rows(const ResamplePass& pass, uint32_t slot) {
    for (uint32_t row = wide_lanes * slot; row < wide_lanes * (slot + 1) && row + 1 < pass.vertical_count; ++row) {
        const float* from = pass.ring + row * pass.ring_stride;
        float* to = pass.ring + (wide_lanes * pass.ring_bands + row) * pass.ring_stride;
        for (size_t i = 0; i < pass.ring_stride; i += wide_lanes) store(to + i, Wide::load(from + i));
    }
}

// How far a component has come.
struct Progress {
    Needed needed;
    uint32_t next_band = 0;
    uint32_t pieces_done = 0;  // of the next band
};

// Note [Pieces]
// Memory may take no more non-temporal stores from two cores than from one: 43 GB/s from either on Zen 5. The output rows that
// lie between two bands write as fast as that, so two threads that write at the same time wait for each other, although both
// need only a third of it on average. So a pass that writes to `out` with such stores makes each band in pieces, between the
// blocks of the output rows before the one that needs it. A piece is the inverse DCT of `piece_blocks` block columns, or
// the taps and the DCT of as many output blocks. Smaller pieces spread the stores no better and take longer to change over.
constexpr uint32_t piece_blocks = 16;

constexpr uint32_t pieces_of(uint32_t blocks) { return (blocks + piece_blocks - 1) / piece_blocks; }

void make_piece(const ResamplePass& pass, Progress& progress) {
    const uint32_t inverse_pieces = pieces_of(pass.block_columns);
    const uint32_t slot = progress.next_band % pass.ring_bands;
    if (progress.pieces_done < inverse_pieces) {
        const uint32_t begin = piece_blocks * progress.pieces_done, end = begin + piece_blocks;
        inverse_band(pass, progress.next_band, begin, end < pass.block_columns ? end : pass.block_columns);
        ++progress.pieces_done;
        return;
    }
    const uint32_t begin = piece_blocks * (progress.pieces_done - inverse_pieces);
    const uint32_t end = begin + piece_blocks < pass.blocks_wide ? begin + piece_blocks : pass.blocks_wide;
    float* ring = pass.ring + size_t(wide_lanes * slot) * pass.ring_stride;
    switch (pass.horizontal_count) {
        case 2: horizontal<2>(pass, progress.needed, ring, begin, end); break;
        case 3: horizontal<3>(pass, progress.needed, ring, begin, end); break;
        case 4: horizontal<4>(pass, progress.needed, ring, begin, end); break;
        default: horizontal<0>(pass, progress.needed, ring, begin, end);
    }
    ++progress.pieces_done;
    if (end < pass.blocks_wide) return;
    repeat_first_rows(pass, slot);
    ++progress.next_band;
    progress.pieces_done = 0;
}

// The rows of samples that the taps of `row_count` block rows from `block_row` on read.
struct Rows {
    uint32_t begin, end;
};

Rows rows_of(const ResamplePass& pass, uint32_t block_row, uint32_t row_count) {
    const uint32_t* start = pass.vertical_start + 8 * block_row;
    const uint32_t top = start[0], bottom = start[8 * row_count - 1];
    return top < bottom ? Rows{top, bottom + pass.vertical_count} : Rows{bottom, top + pass.vertical_count};
}

// The bands that `row_count` block rows of a component from `block_row` on need beyond those in the ring, and their taps.
void make_bands(const ResamplePass& pass, Progress& progress, uint32_t block_row, uint32_t row_count, RowTaps* taps) {
    const uint32_t ring_rows = wide_lanes * pass.ring_bands;
    const uint32_t count = pass.vertical_count;
    const uint32_t* start = pass.vertical_start + 8 * block_row;
    const Rows rows = rows_of(pass, block_row, row_count);
    const uint32_t first_band = rows.begin / wide_lanes;
    if (progress.next_band < first_band) {  // bands that no tap reads
        progress.next_band = first_band;
        progress.pieces_done = 0;
    }
    while (wide_lanes * progress.next_band < rows.end) make_piece(pass, progress);
    const uint32_t turn =
        rows.begin - rows.begin % ring_rows;  // one slow division for all rows, which span one ring at most
    for (uint32_t r = 0; r < row_count; ++r) {
        for (int i = 0; i < 8; ++i) {
            const uint32_t row = start[8 * r + i] - turn;
            taps[r].rows[i] = pass.ring + size_t(row < ring_rows ? row : row - ring_rows) * pass.ring_stride;
        }
        taps[r].weights = pass.vertical_weights + size_t(8) * (block_row + r) * count;
        taps[r].stride = pass.ring_stride;
        taps[r].count = count;
    }
}

uint32_t block_row_of(const ResamplePass& pass, uint32_t k) { return pass.reverse_rows ? pass.blocks_high - 1 - k : k; }

// Block rows from the k-th on before one needs another band, which becomes the next one. 0: none does, or the ring has no room
// for it yet.
uint32_t rows_until_next_band(const ResamplePass& pass, Progress& progress, uint32_t k) {
    const uint32_t first_band = rows_of(pass, block_row_of(pass, k), 1).begin / wide_lanes;
    for (uint32_t later = k + 1; later < pass.blocks_high; ++later) {
        const Rows rows = rows_of(pass, block_row_of(pass, later), 1);
        if (rows.end <= wide_lanes * progress.next_band) continue;
        const uint32_t needed = rows.begin / wide_lanes;
        const uint32_t band = progress.next_band > needed ? progress.next_band : needed;
        if (band - first_band >= pass.ring_bands) return 0;
        progress.next_band = band;
        return later - k;
    }
    return 0;
}

// Makes the next band's share that is due where it is needed after so many chunks of output blocks. Returns how many remain; 0 once
// the band is whole.
uint32_t make_share(const ResamplePass& pass, Progress& progress, uint32_t chunks) {
    if (chunks == 0) return 0;
    const uint32_t pieces = pieces_of(pass.block_columns) + pieces_of(pass.blocks_wide) - progress.pieces_done;
    uint32_t share = (2 * pieces + chunks) / (2 * chunks);
    const bool all = share >= pieces;
    for (share = all ? pieces : share; share != 0; --share) make_piece(pass, progress);
    return all ? 0 : chunks - 1;
}

// These rows, from the ring.
void make_rows(const ResamplePass& pass, const Progress& progress, uint32_t block_row, uint32_t row_count,
               const RowTaps* taps) {
    switch (pass.vertical_count) {
        case 2: vertical<2>(pass, progress.needed, taps, block_row, row_count); break;
        case 3: vertical<3>(pass, progress.needed, taps, block_row, row_count); break;
        case 4: vertical<4>(pass, progress.needed, taps, block_row, row_count); break;
        default: vertical<0>(pass, progress.needed, taps, block_row, row_count);
    }
}

// Some blocks of a row, which all channels of the component fill.
void make_blocks(const ResamplePass& pass, const RowTaps& taps, uint32_t block_row, uint32_t first, uint32_t count) {
    switch (pass.vertical_count) {
        case 2: vertical_interleaved<2>(pass, taps, block_row, first, count); break;
        case 3: vertical_interleaved<3>(pass, taps, block_row, first, count); break;
        case 4: vertical_interleaved<4>(pass, taps, block_row, first, count); break;
        default: vertical_interleaved<0>(pass, taps, block_row, first, count);
    }
}

// See Note [Pieces].
void run_streamed(const ResamplePass& pass) {
    Progress progress{needed_frequencies(pass)};
    const uint32_t chunks_wide = pieces_of(pass.blocks_wide);
    for (uint32_t k = 0; k < pass.blocks_high; ++k) {
        const uint32_t block_row = block_row_of(pass, k);
        RowTaps taps;
        make_bands(pass, progress, block_row, 1, &taps);
        uint32_t chunks = rows_until_next_band(pass, progress, k) * chunks_wide;
        for (uint32_t first = 0; first < pass.blocks_wide; first += piece_blocks) {
            const uint32_t left = pass.blocks_wide - first;
            make_blocks(pass, taps, block_row, first, left < piece_blocks ? left : piece_blocks);
            chunks = make_share(pass, progress, chunks);
        }
    }
    finish_stream();
}

void run_pass(const ResamplePass& pass) {
    if (pass.interleaved && pass.stream) return run_streamed(pass);
    Progress progress{needed_frequencies(pass)};
    const uint32_t groups = (pass.blocks_high + pass.row_group - 1) / pass.row_group;
    for (uint32_t k = 0; k < groups; ++k) {
        const uint32_t block_row = pass.row_group * (pass.reverse_rows ? groups - 1 - k : k);
        const uint32_t left = pass.blocks_high - block_row;
        const uint32_t row_count = left < pass.row_group ? left : pass.row_group;
        RowTaps taps[max_row_group];
        make_bands(pass, progress, block_row, row_count, taps);
        make_rows(pass, progress, block_row, row_count, taps);
    }
    if (pass.stream) finish_stream();
}

// All components of an image row by row: each row is whole and is written in whole cache lines. A few blocks at a time
// where that is possible, so that the staging stays in the first-level cache.
void run_staged(const ResamplePass* passes, uint32_t pass_count) {
    const ResamplePass& any = passes[0];
    Progress progress[max_components];
    bool interleaved = true;
    for (uint32_t c = 0; c < pass_count; ++c) {
        progress[c].needed = needed_frequencies(passes[c]);
        interleaved &= passes[c].interleaved;
    }
    for (uint32_t k = 0; k < any.blocks_high; ++k) {
        const uint32_t block_row = any.reverse_rows ? any.blocks_high - 1 - k : k;
        RowTaps taps[max_components];
        for (uint32_t c = 0; c < pass_count; ++c) make_bands(passes[c], progress[c], block_row, 1, &taps[c]);
        const uint32_t step = interleaved ? 8 : any.blocks_wide;
        for (uint32_t first = 0; first < any.blocks_wide; first += step) {
            const uint32_t left = any.blocks_wide - first;
            const uint32_t count = left < step ? left : step;
            for (uint32_t c = 0; c < pass_count; ++c) {
                interleaved ? make_blocks(passes[c], taps[c], 0, first, count)
                            : make_rows(passes[c], progress[c], block_row, 1, &taps[c]);
            }
            const size_t begin = size_t(block_row) * any.blocks_wide + first;
            const size_t index = begin * any.output_channels, length = size_t(count) * any.output_channels;
            store_run(any, any.staging, index, length);
        }
    }
    finish_stream();
}

}  // namespace
}  // namespace jpegfreq
