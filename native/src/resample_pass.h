// One component's way through the resample: what resample.cpp and resample_layout.cpp prepare and the kernels run. Plain data,
// no inline functions, so that files compiled for different instruction sets can share it.
#pragma once

#include "jpegfreq_resample.h"
#include "reduction.h"

namespace jpegfreq {

constexpr uint32_t max_row_group = 4;

// The values of float16 and bfloat16 tensors.
struct Half {
    uint16_t bits;
};
struct Bfloat16 {
    uint16_t bits;
};

struct ResamplePass {
    // Source: block (row, column) starts at plane + row * row_stride + column * column_stride.
    const int16_t* plane;
    size_t row_stride, column_stride;
    bool transpose;           // exchange v and u within each block too
    const float* dequantize;  // [64]: quantization table times the scale factors of the inverse DCT
    // Or null, or the samples themselves, of which the taps then take one each (Note [Reduction]); with `transpose`, row and
    // column are exchanged.
    const float* image;
    size_t image_columns;
    uint32_t first_block_column;
    uint32_t block_columns;  // that the taps touch
    uint32_t first_block_row;
    uint32_t block_rows;

    // See Taps. Horizontal ones start at columns + horizontal_offset, vertical ones at row vertical_start, counted from
    // first_block_row.
    const uint32_t* horizontal_offset;
    const float* horizontal_weights;
    uint32_t horizontal_count;
    const uint32_t* vertical_start;
    const float* vertical_weights;
    uint32_t vertical_count;
    bool reverse_rows;  // vertical_start falls with the slot: work from the last output row up

    // Scratch, 64-byte aligned. A band has ResampleKernels::lanes rows.
    float* columns;  // [8 * block_columns][lanes]: one band, inverse transformed
    float* ring;     // [lanes * ring_bands + vertical_count - 1][ring_stride]: bands after the horizontal taps and DCT
    uint32_t ring_bands;
    size_t ring_stride;
    size_t run_stride;   // planar rows of the ring: from one u to the next
    float* rows;         // finished rows of channels; HWC [channel_count][rows_stride], CHW [8][rows_stride]
    size_t rows_stride;  // CHW: row_group block rows without gaps, and some floats over

    // Output.
    uint32_t blocks_high, blocks_wide;
    bool interleaved;  // HWC with the component's 64 channels in natural order: blocks go straight to `out`
    // 0, or 2, 4 or 8: the component's channels are neighbours in the staging, v by v those with u < packed_lengths[v], which
    // is at most `packed`; below 8, so is every v below 4. A whole number of vectors of 8 floats holds `packed` of every block.
    uint32_t packed;
    uint8_t packed_lengths[8];
    uint32_t channel_count;      // of this component
    const uint8_t* frequencies;  // [channel_count]: 8 * v + u, in the order of the output
    const uint32_t* positions;   // [channel_count]: channels of the output
    const float* scale;          // [64] by 8 * v + u, with the scale factors of the forward DCT
    const float* shift;          // [64]
    uint32_t row_group;          // block rows that are worked on together, 1 to max_row_group
    TensorLayout layout;
    TensorType type;
    bool stream;
    uint32_t output_channels;  // of the whole tensor
    void* out;
    float* staging;  // null, or one block row of `out`, which run_staged writes there: [blocks_wide][output_channels]
};

struct ResampleKernels {
    void (*run_pass)(const ResamplePass& pass);
    // One pass for each component, all with the same staging.
    void (*run_staged)(const ResamplePass* passes, uint32_t pass_count);
    Reduce reduce;
    uint32_t lanes;  // 8 or 16: rows of a band
};

extern const ResampleKernels resample_kernels_generic;
extern const ResampleKernels resample_kernels_avx2;
extern const ResampleKernels resample_kernels_neon;
extern const ResampleKernels resample_kernels_avx512;

}  // namespace jpegfreq
