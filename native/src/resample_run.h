// The loops over the output rows of a component, or of all components of an image.
#pragma once

#include "resample_bands.h"

namespace jpegfreq {
namespace {

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
