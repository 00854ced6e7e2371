// The resample of one component, over vectors of 8 floats. Included by one file for each instruction set, after it has
// defined, in an anonymous namespace, the vector F8 and its operations:
//   load, store, store_partial, stream, load_int16, broadcast, + - *, multiply_add(a, b, c) = a * b + c,
//   multiply_subtract(a, b, c) = a * b - c, negative_multiply_add(a, b, c) = c - a * b, transpose, store_half,
//   store_half_partial, stream_half, store_int8, finish_stream, scatter<Width>: each `Width` elements
//   `stride` floats after the previous ones.
// Includes nothing and uses no library, so that no code for one instruction set reaches a function shared with another.
//
// Note [Lanes]
// Band: 8 rows of samples. Vertical inverse DCT with lanes = u; transpose; horizontal inverse DCT with lanes = the 8 rows,
// which leaves columns of 8 rows. Horizontal taps and DCT run over such columns. A second transpose makes rows, for the ring:
// "interleaved" rows with lanes = u, where the 64 channels of a block go out together, else "planar" rows with
// lanes = 8 neighbouring blocks, one run for each u that some channel needs. Vertical taps and DCT then run over rows.

namespace jpegfreq {
namespace {

// Inverse DCT of 8 (Arai, Agui, Nakajima), with its scale factors in the dequantization table.
[[gnu::always_inline]] inline void inverse_dct(F8 (&x)[8]) {
    const F8 e0 = x[0] + x[4], e1 = x[0] - x[4];
    const F8 e3 = x[2] + x[6];
    const F8 e2 = multiply_subtract(x[2] - x[6], broadcast(1.414213562f), e3);
    const F8 a0 = e0 + e3, a3 = e0 - e3, a1 = e1 + e2, a2 = e1 - e2;

    const F8 z13 = x[5] + x[3], z10 = x[5] - x[3], z11 = x[1] + x[7], z12 = x[1] - x[7];
    const F8 b7 = z11 + z13;
    const F8 tangent = broadcast(0.414213562f);  // tan(pi / 8)
    const F8 rotate = broadcast(1.847759065f);   // 2 cos(pi / 8)
    const F8 b6 = multiply_subtract(negative_multiply_add(z10, tangent, z12), rotate, b7);
    const F8 b5 = multiply_subtract(z11 - z13, broadcast(1.414213562f), b6);
    const F8 b4 = multiply_subtract(multiply_add(z12, tangent, z10), rotate, b5);
    x[0] = a0 + b7, x[7] = a0 - b7;
    x[1] = a1 + b6, x[6] = a1 - b6;
    x[2] = a2 + b5, x[5] = a2 - b5;
    x[3] = a3 + b4, x[4] = a3 - b4;
}

// Forward DCT of 8, with its scale factors in the output's scale.
[[gnu::always_inline]] inline void forward_dct(F8 (&x)[8]) {
    const F8 t0 = x[0] + x[7], t7 = x[0] - x[7], t1 = x[1] + x[6], t6 = x[1] - x[6];
    const F8 t2 = x[2] + x[5], t5 = x[2] - x[5], t3 = x[3] + x[4], t4 = x[3] - x[4];

    const F8 e0 = t0 + t3, e3 = t0 - t3, e1 = t1 + t2, e2 = t1 - t2;
    const F8 half = broadcast(0.707106781f);
    const F8 e23 = e2 + e3;
    x[0] = e0 + e1, x[4] = e0 - e1;
    x[2] = multiply_add(e23, half, e3), x[6] = negative_multiply_add(e23, half, e3);

    const F8 o0 = t4 + t5, o1 = t5 + t6, o2 = t6 + t7;
    const F8 tangent = broadcast(0.414213562f);
    const F8 cosine = broadcast(0.923879533f);  // cos(pi / 8)
    const F8 z2 = negative_multiply_add(o2, tangent, o0);
    const F8 z4 = multiply_add(o0, tangent, o2);
    const F8 z11 = multiply_add(o1, half, t7), z13 = negative_multiply_add(o1, half, t7);
    x[5] = multiply_add(z2, cosine, z13), x[3] = negative_multiply_add(z2, cosine, z13);
    x[1] = multiply_add(z4, cosine, z11), x[7] = negative_multiply_add(z4, cosine, z11);
}

[[gnu::always_inline]] inline void inverse_block(const int16_t* block, const float* dequantize, float* columns) {
    F8 x[8];
    for (int v = 0; v < 8; ++v) x[v] = load_int16(block + 8 * v) * load(dequantize + 8 * v);
    inverse_dct(x);
    transpose(x);
    inverse_dct(x);
    for (int i = 0; i < 8; ++i) store(columns + 8 * i, x[i]);
}

void inverse_band(const ResamplePass& pass, uint32_t band) {
    if (pass.image) return load_band(pass, band);
    const int16_t* block = pass.plane + band * pass.row_stride + pass.first_block_column * pass.column_stride;
    float* columns = pass.columns;
    for (uint32_t i = 0; i < pass.block_columns; ++i, block += pass.column_stride, columns += 64) {
        if (pass.transpose) {
            int16_t turned[64];
            for (int k = 0; k < 64; ++k) turned[k] = block[8 * (k & 7) + (k >> 3)];
            inverse_block(turned, pass.dequantize, columns);
        } else {
            inverse_block(block, pass.dequantize, columns);
        }
    }
}

// One output sample of 8 lanes: `count` taps, `step` floats from one to the next. Count is `count`, or 0 where that varies.
template <int Count>
[[gnu::always_inline]] inline F8 apply_taps(const float* from, size_t step, const float* weights, uint32_t count) {
    if (Count == 2) {  // weights add up to 1
        const F8 first = load(from);
        return multiply_add(load(from + step) - first, broadcast(weights[1]), first);
    }
    F8 sum = load(from) * broadcast(weights[0]);
    const uint32_t last = Count ? Count : count;
    for (uint32_t t = 1; t < last; ++t) sum = multiply_add(load(from + t * step), broadcast(weights[t]), sum);
    return sum;
}

// Taps and DCT of the 8 output columns of one block: x[u], lanes = rows.
template <int Count>
[[gnu::always_inline]] inline void horizontal_block(const ResamplePass& pass, uint32_t block, F8 (&x)[8]) {
    const uint32_t count = Count ? Count : pass.horizontal_count;
    const float* weights = pass.horizontal_weights + size_t(8) * block * count;
    const uint32_t* offset = pass.horizontal_offset + 8 * block;
    for (int i = 0; i < 8; ++i) x[i] = apply_taps<Count>(pass.columns + offset[i], 8, weights + i * count, count);
    forward_dct(x);
}

template <int Count>
void horizontal_interleaved(const ResamplePass& pass, float* ring) {
    for (uint32_t block = 0; block < pass.blocks_wide; ++block) {
        F8 x[8];
        horizontal_block<Count>(pass, block, x);
        transpose(x);
        for (int y = 0; y < 8; ++y) store(ring + y * pass.ring_stride + 8 * block, x[y]);
    }
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
    uint32_t packed =
        0;  // 2 or 4: the component's channels are v by v those with u < packed, side by side in a staged row
    Column columns[8];
};

uint32_t packed_width(const ResamplePass& pass) {
    if (!pass.staging || pass.blocks_wide % 4 != 0) return 0;
    for (uint32_t width = 2; width <= 4; width += 2) {
        if (pass.channel_count % width != 0 || pass.channel_count > 4 * width) continue;
        bool fits = true;
        for (uint32_t k = 0; k < pass.channel_count; ++k) {
            fits &= pass.frequencies[k] == 8 * (k / width) + k % width && pass.positions[k] == pass.positions[0] + k;
        }
        if (fits) return width;
    }
    return 0;
}

Needed needed_frequencies(const ResamplePass& pass) {
    Needed needed;
    needed.packed = packed_width(pass);
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
void horizontal_planar(const ResamplePass& pass, const Needed& needed, float* ring) {
    const uint32_t groups = (pass.blocks_wide + 7) / 8;
    for (uint32_t group = 0; group < groups; ++group) {
        alignas(32) float turned[8][64];  // [block][u][row]
        const uint32_t left = pass.blocks_wide - 8 * group;
        const uint32_t blocks = left < 8 ? left : 8;
        for (uint32_t b = 0; b < 8; ++b) {
            F8 x[8];
            horizontal_block<Count>(pass, 8 * group + (b < blocks ? b : blocks - 1), x);
            for (int u = 0; u < (Low ? 4 : 8); ++u) store(turned[b] + 8 * u, x[u]);
        }
        for (uint32_t i = 0; i < needed.count; ++i) {
            F8 x[8];
            for (int b = 0; b < 8; ++b) x[b] = load(turned[b] + 8 * needed.columns[i].u);
            transpose(x);
            for (int y = 0; y < 8; ++y) store(ring + y * pass.ring_stride + 8 * (i * groups + group), x[y]);
        }
    }
}

// What the vertical taps of one output block row read: the first row of the ring for each of its 8 rows, and weights [8][count].
struct RowTaps {
    const float* rows[8];
    const float* weights;
};

// Taps and DCT of one vector column: x[v].
template <int Count>
[[gnu::always_inline]] inline void vertical_block(const ResamplePass& pass, const RowTaps& taps, size_t offset,
                                                  F8 (&x)[8]) {
    const uint32_t count = Count ? Count : pass.vertical_count;
    for (int i = 0; i < 8; ++i) {
        x[i] = apply_taps<Count>(taps.rows[i] + offset, pass.ring_stride, taps.weights + i * count, count);
    }
    forward_dct(x);
}

// The blocks [first, first + count) of a block row, to `out` or to the staging, where they come first.
template <int Count>
void vertical_interleaved(const ResamplePass& pass, const RowTaps& taps, uint32_t block_row, uint32_t first,
                          uint32_t count) {
    const size_t block_stride = pass.output_channels;
    const size_t before = pass.staging ? 0 : size_t(block_row) * pass.blocks_wide + first;
    const size_t begin = before * block_stride + pass.positions[0];
    float* out = (pass.staging ? pass.staging : static_cast<float*>(pass.out)) + begin;
    uint16_t* half_out = static_cast<uint16_t*>(pass.out) + begin;
    int8_t* byte_out = static_cast<int8_t*>(pass.out) + begin;
    const bool half = pass.type == TensorType::float16 && !pass.staging;
    for (uint32_t block = first; block < first + count; ++block) {
        F8 x[8];
        vertical_block<Count>(pass, taps, size_t(8) * block, x);
        for (int v = 0; v < 8; ++v) x[v] = multiply_add(x[v], load(pass.scale + 8 * v), load(pass.shift + 8 * v));
        if (half) {
            for (int v = 0; v < 8; ++v) store_half(half_out + 8 * v, x[v]);
        } else if (pass.type == TensorType::int8) {
            for (int v = 0; v < 8; ++v) store_int8(byte_out + 8 * v, x[v], 8);
        } else if (pass.stream) {
            for (int v = 0; v < 8; ++v) stream(out + 8 * v, x[v]);
        } else {
            for (int v = 0; v < 8; ++v) store(out + 8 * v, x[v]);
        }
        out += block_stride, half_out += block_stride, byte_out += block_stride;
    }
}

// All groups of 8 blocks of one u in one block row. to[v]: where finished rows go; null where v is not needed.
template <int Count, bool Low>
void vertical_planar(const ResamplePass& pass, const Needed& needed, uint32_t column, const RowTaps& taps,
                     float* const (&to)[8]) {
    constexpr int frequencies = Low ? 4 : 8;
    const uint32_t groups = (pass.blocks_wide + 7) / 8;
    const uint32_t tail = pass.blocks_wide & 7;
    const float* scale = pass.scale + needed.columns[column].u;
    const float* shift = pass.shift + needed.columns[column].u;
    for (uint32_t group = 0; group < groups; ++group) {
        F8 x[8];
        vertical_block<Count>(pass, taps, size_t(8) * (column * groups + group), x);
        for (int v = 0; v < frequencies; ++v)
            x[v] = multiply_add(x[v], broadcast(scale[8 * v]), broadcast(shift[8 * v]));
        if (tail && group == groups - 1) {  // rows have no gaps between them: nothing may be written after their end
            for (int v = 0; v < frequencies; ++v) {
                if (to[v]) store_partial(to[v] + 8 * group, x[v], tail);
            }
        } else {
            for (int v = 0; v < frequencies; ++v) {
                if (to[v]) store(to[v] + 8 * group, x[v]);
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

// The stores of each type under one name.
inline void store_part(float* to, const F8& x, uint32_t count) { store_partial(to, x, count); }
inline void store_part(uint16_t* to, const F8& x, uint32_t count) { store_half_partial(to, x, count); }
inline void store_part(int8_t* to, const F8& x, uint32_t count) { store_int8(to, x, count); }
inline void stream_part(float* to, const F8& x) { stream(to, x); }
inline void stream_part(uint16_t* to, const F8& x) { stream_half(to, x); }

template <class T>
inline void store_values(const float* from, T* to, size_t count) {
    size_t i = 0;
    for (; i + 8 <= count; i += 8) store_part(to + i, load(from + i), 8);
    if (i < count) store_part(to + i, load(from + i), uint32_t(count - i));
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
        for (size_t j = 0; j < line; j += 8) stream_part(to + i + j, load(from + i + j));
    }
    store_values(from + i, to + i, count - i);
}

// A run of `count` values from `from` to the tensor's element `index`.
inline void store_run(const ResamplePass& pass, const float* from, size_t index, size_t count) {
    if (pass.type == TensorType::float16) {
        uint16_t* to = static_cast<uint16_t*>(pass.out) + index;
        return pass.stream ? stream_values(from, to, count) : store_values(from, to, count);
    }
    if (pass.type == TensorType::int8) {
        return store_values(from, static_cast<int8_t*>(pass.out) + index, count);
    }
    float* to = static_cast<float*>(pass.out) + index;
    pass.stream ? stream_values(from, to, count) : store_values(from, to, count);
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
    float* const out = pass.staging ? pass.staging : static_cast<float*>(pass.out);
    for (uint32_t k = 0; k < pass.channel_count;) {
        // Up to 8 channels that are neighbours in the output.
        uint32_t run = 1;
        while (run < 8 && k + run < pass.channel_count && pass.positions[k + run] == pass.positions[k] + run) ++run;
        for (uint32_t block = 0; block < pass.blocks_wide; block += 8) {
            F8 x[8];
            for (uint32_t i = 0; i < 8; ++i)
                x[i] = load(pass.rows + (k + (i < run ? i : 0)) * pass.rows_stride + block);
            transpose(x);
            const uint32_t left = pass.blocks_wide - block;
            for (uint32_t b = 0; b < 8 && b < left; ++b) {
                const size_t index = begin + size_t(block + b) * pass.output_channels + pass.positions[k];
                if (pass.type == TensorType::float16 && !pass.staging) {
                    store_half_partial(static_cast<uint16_t*>(pass.out) + index, x[b], run);
                } else if (pass.type == TensorType::int8) {
                    store_int8(static_cast<int8_t*>(pass.out) + index, x[b], run);
                } else {
                    store_partial(out + index, x[b], run);
                }
            }
        }
        k += run;
    }
}

// "Packed" rows: lanes = the first `Width` frequencies u of 8 / Width neighbouring blocks.
template <int Count, int Width>
void horizontal_packed(const ResamplePass& pass, float* ring) {
    for (uint32_t block = 0; block < pass.blocks_wide; block += 8 / Width, ring += 8) {
        F8 packed[8];
        for (int b = 0; b < 8 / Width; ++b) {
            F8 x[8];
            horizontal_block<Count>(pass, block + b, x);
            for (int u = 0; u < Width; ++u) packed[b * Width + u] = x[u];
        }
        transpose(packed);
        for (int y = 0; y < 8; ++y) store(ring + y * pass.ring_stride, packed[y]);
    }
}

template <int Count, int Width>
void vertical_packed(const ResamplePass& pass, const RowTaps& taps) {
    const uint32_t high = pass.channel_count / Width;
    alignas(32) float scale[4][8], shift[4][8];
    for (uint32_t v = 0; v < high; ++v) {
        for (int i = 0; i < 8; ++i) {
            scale[v][i] = pass.scale[8 * v + i % Width];
            shift[v][i] = pass.shift[8 * v + i % Width];
        }
    }
    float* out = pass.staging + pass.positions[0];
    for (uint32_t block = 0; block < pass.blocks_wide; block += 8 / Width, out += 8 / Width * pass.output_channels) {
        F8 x[8];
        vertical_block<Count>(pass, taps, size_t(Width) * block, x);
        for (uint32_t v = 0; v < 4; ++v) {  // a constant count, which keeps x in registers
            if (v < high)
                scatter<Width>(out + v * Width, pass.output_channels,
                               multiply_add(x[v], load(scale[v]), load(shift[v])));
        }
    }
}

template <int Count>
void horizontal(const ResamplePass& pass, const Needed& needed, float* ring) {
    if (pass.interleaved) {
        horizontal_interleaved<Count>(pass, ring);
    } else if (needed.packed != 0) {
        needed.packed == 4 ? horizontal_packed<Count, 4>(pass, ring) : horizontal_packed<Count, 2>(pass, ring);
    } else {
        needed.low ? horizontal_planar<Count, true>(pass, needed, ring)
                   : horizontal_planar<Count, false>(pass, needed, ring);
    }
}

template <int Count>
void vertical(const ResamplePass& pass, const Needed& needed, const RowTaps* taps, uint32_t block_row,
              uint32_t row_count) {
    if (pass.interleaved) {
        vertical_interleaved<Count>(pass, taps[0], block_row, 0, pass.blocks_wide);
    } else if (needed.packed != 0) {
        needed.packed == 4 ? vertical_packed<Count, 4>(pass, taps[0]) : vertical_packed<Count, 2>(pass, taps[0]);
    } else if (pass.layout == TensorLayout::hwc) {
        vertical_channels<Count>(pass, needed, taps[0], block_row);
    } else {
        vertical_planes<Count>(pass, needed, taps, block_row, row_count);
    }
}

// The ring's first rows are repeated after its last one, so that a row's taps, which are `count` rows, never wrap around.
void repeat_first_rows(const ResamplePass& pass, uint32_t slot) {
    for (uint32_t row = 8 * slot; row < 8 * slot + 8 && row + 1 < pass.vertical_count; ++row) {
        const float* from = pass.ring + row * pass.ring_stride;
        float* to = pass.ring + (8 * pass.ring_bands + row) * pass.ring_stride;
        for (size_t i = 0; i < pass.ring_stride; i += 8) store(to + i, load(from + i));
    }
}

// How far a component has come.
struct Progress {
    Needed needed;
    uint32_t next_band = 0;
};

// The bands that `row_count` block rows of a component from `block_row` on need beyond those in the ring, and their taps.
void make_bands(const ResamplePass& pass, Progress& progress, uint32_t block_row, uint32_t row_count, RowTaps* taps) {
    const uint32_t ring_rows = 8 * pass.ring_bands;
    const uint32_t count = pass.vertical_count;
    const uint32_t* start = pass.vertical_start + 8 * block_row;
    const uint32_t top = start[0], bottom = start[8 * row_count - 1];
    const uint32_t first = top < bottom ? top : bottom;
    const uint32_t end = (top < bottom ? bottom : top) + count;
    uint32_t& next_band = progress.next_band;
    if (next_band < first / 8) next_band = first / 8;  // bands that no tap reads
    for (; 8 * next_band < end; ++next_band) {
        float* ring = pass.ring + size_t(8 * (next_band % pass.ring_bands)) * pass.ring_stride;
        inverse_band(pass, next_band);
        switch (pass.horizontal_count) {
            case 2: horizontal<2>(pass, progress.needed, ring); break;
            case 3: horizontal<3>(pass, progress.needed, ring); break;
            case 4: horizontal<4>(pass, progress.needed, ring); break;
            default: horizontal<0>(pass, progress.needed, ring);
        }
        repeat_first_rows(pass, next_band % pass.ring_bands);
    }
    for (uint32_t r = 0; r < row_count; ++r) {
        for (int i = 0; i < 8; ++i)
            taps[r].rows[i] = pass.ring + size_t(start[8 * r + i] % ring_rows) * pass.ring_stride;
        taps[r].weights = pass.vertical_weights + size_t(8) * (block_row + r) * count;
    }
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

// Blocks of a row that go to the staging.
void stage_blocks(const ResamplePass& pass, const RowTaps& taps, uint32_t first, uint32_t count) {
    switch (pass.vertical_count) {
        case 2: vertical_interleaved<2>(pass, taps, 0, first, count); break;
        case 3: vertical_interleaved<3>(pass, taps, 0, first, count); break;
        case 4: vertical_interleaved<4>(pass, taps, 0, first, count); break;
        default: vertical_interleaved<0>(pass, taps, 0, first, count);
    }
}

void run_pass(const ResamplePass& pass) {
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

void stream_staging(const ResamplePass& pass, size_t index, size_t count) {
    if (pass.type == TensorType::float16) {
        stream_values(pass.staging, static_cast<uint16_t*>(pass.out) + index, count);
    } else {
        stream_values(pass.staging, static_cast<float*>(pass.out) + index, count);
    }
}

// All components of an image row by row: each row is whole and is written with non-temporal stores. A few blocks at a time
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
                interleaved ? stage_blocks(passes[c], taps[c], first, count)
                            : make_rows(passes[c], progress[c], block_row, 1, &taps[c]);
            }
            const size_t begin = size_t(block_row) * any.blocks_wide + first;
            stream_staging(any, begin * any.output_channels, size_t(count) * any.output_channels);
        }
    }
    finish_stream();
}

}  // namespace
}  // namespace jpegfreq
