// A component that a resize shrinks: its output samples straight from coefficients, without the samples between.
#pragma once

#include "buffer.h"
#include "jpegfreq_resample.h"
#include "resample_taps.h"

namespace jpegfreq {

// Note [Reduction]
// The inverse DCT and the taps are both linear. So the taps are transformed once, instead of every block: in output row o,
// coefficient (v, u) of block row b has the weight W(o, b, v) = sum over y of w(o, 8 b + y) D[v][y], where w are the vertical
// taps and D is the DCT. The rows of coefficients are added up with these weights in the few output rows that a block row
// reaches, and once all block rows of an output row are in, the same is done along u with the horizontal taps. The
// result is that of inverse DCT and taps but for rounding. It takes fewer operations where an output sample has many taps,
// that is where the component shrinks. Measured on photographs of 0.2 to 16 megapixels: as fast as inverse DCT and taps where
// the area shrinks by nine, a fifth faster at twelve, and more than twice as fast at a hundred.
//
// Rows and columns are those of the stored image, also where the resize transposes it. Plain data, no inline functions, as
// in resample_pass.h.
struct Reduction {
    const int16_t* plane;  // block (row, column) begins at plane + row % held_rows * row_stride + 64 * column
    size_t row_stride;
    uint32_t held_rows;
    const float* dequantize;      // [64], by 8 * v + u
    const float* basis;           // [8][8]: D by sample, then frequency
    uint32_t first_block_column;  // that the taps reach
    uint32_t block_columns;

    // Vertical taps as in Taps.
    const uint32_t* start;
    const float* weights;
    uint32_t count;
    uint32_t rows;

    // Horizontal taps by blocks: column p is made of `blocks` blocks from first_block[p] on, counted from
    // first_block_column, with the weights block_weights[p][block][u].
    const uint32_t* first_block;
    const float* block_weights;
    uint32_t blocks;
    uint32_t columns;  // a multiple of 8

    // Scratch. Output row o adds up in slot o % slots.
    float* sums;  // [slots][sums_stride]: [block_columns][u]
    size_t sums_stride;
    float* row_weights;  // [slots][64]: W times the dequantization
    uint32_t slots;      // more than the output rows that any block row reaches

    float* image;  // the result: [rows][columns]

    // Progress: block rows before next_block_row are in; of the output rows, `done` are finished and `begun` begun.
    uint32_t next_block_row, done, begun;
};

// Adds the block rows from next_block_row to `block_row_end` and finishes the output rows that are then complete.
using Reduce = void (*)(Reduction& reduction, uint32_t block_row_end);

// Whether this is faster than inverse DCT and taps. Measured; see Note [Reduction].
bool reduction_pays(const Axis& vertical, const Axis& horizontal);

// Makes the reduced image of one component. Keeps its memory for the next one.
class Reducer {
public:
    // `plane` has `held_rows` rows of `row_blocks` blocks. The axes are those of the stored image. Along an axis that flips,
    // the image is made in the component's order, so it is still to be flipped. False: no memory.
    bool begin(const int16_t* plane, uint32_t row_blocks, uint32_t held_rows, const uint16_t* quantization_table,
               const Axis& vertical, const Axis& horizontal);
    // Adds the block rows before `block_row_end`, from where it stands.
    void add(uint32_t block_row_end);

    const float* image() const { return reduction_.image; }
    uint32_t columns() const { return reduction_.columns; }

    // Gives back what a large image needed.
    void trim();

private:
    bool set_columns(const Axis& axis, const Taps& taps);

    Reduction reduction_ = {};
    Buffer<uint32_t> starts_[2], first_blocks_;
    Buffer<float> weights_[2], block_weights_, scratch_;
    GridTaps grid_;
};

}  // namespace jpegfreq
