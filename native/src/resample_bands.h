// The ring of bands: when a band is made, in which pieces, and where the taps find its rows.
#pragma once

#include "resample_inverse.h"
#include "resample_interleaved.h"
#include "resample_packed.h"
#include "resample_planar.h"

namespace jpegfreq {
namespace {

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

}  // namespace
}  // namespace jpegfreq
