// The resample of one component. Included by one file for each instruction set, after it has defined, in an anonymous namespace,
// the vector F8 of 8 floats and Wide, which is F8 or has several groups of 8 floats, and Several, which is Wide or Two<Wide>. The
// operations of the first two:
//   F::groups, F::load, F::broadcast, F::load_groups: each group from its own address, F::load_int16: likewise,
//   F::repeat: 8 floats in each group, group: one of them as an F8,
//   store, store_partial, stream, store_int8, finish_stream; store_short, store_short_partial, stream_short: likewise, as Half or
//   Bfloat16; store_short_blocks, where Wide has several groups: the rows of a block in each group, as either,
//   scatter<Width>: each `Width` elements `stride` floats after the previous ones; scatter_two, where Several is Two<Wide>:
//   scatter<8> of both vectors to neighbouring places; scatter_partial, where that of resample_packed.h is slow,
//   + - *, multiply_add(a, b, c) = a * b + c, multiply_subtract(a, b, c) = a * b - c,
//   negative_multiply_add(a, b, c) = c - a * b,
//   transpose: 8 vectors, each group for itself; join_rows: 8 vectors, whose groups are rows of 8 floats of as many blocks,
//   to all rows of the first block, then those of the next.
// Uses no library, so that no code for one instruction set reaches a function shared with another.
//
// The rooms, each of which includes those that it needs:
//   resample_run.h           the loops over the output rows
//   resample_bands.h         the ring of bands, and the pieces in which bands are made
//   resample_interleaved.h   whole blocks, channels last
//   resample_packed.h        channels that are neighbours, channels last
//   resample_planar.h        all others: channels first, and channels last in any order
//   resample_inverse.h       a band's inverse DCT
//   resample_stores.h        stores to the ring and to the tensor
//   resample_arithmetic.h    DCTs and taps
//
// Note [Lanes]
// Band: as many rows of samples as Wide has lanes; a group is a row of blocks. Vertical inverse DCT with lanes = u;
// transpose; horizontal inverse DCT with lanes = the rows, which leaves columns of rows. Horizontal taps and DCT run over such
// columns. A second transpose makes rows, for the ring: "interleaved" rows with lanes = u, where the 64 channels of a block go
// out together, else "planar" rows with lanes = neighbouring blocks, one run for each u that some channel needs. Vertical taps
// and DCT then run over rows; groups are then blocks, or groups of 8 blocks, that are neighbours in a row.
// Every lane sees the same operations in the same order, so the width changes no result.
#pragma once

#include "resample_run.h"
