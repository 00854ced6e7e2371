// Converts the arguments that resample and read_batch share from Python to the core's types.
#pragma once

#include <nanobind/ndarray.h>

#include "bindings.h"
#include "jpegfreq_resample.h"

namespace jpegfreq::python {

using ChannelNumbers = nb::ndarray<const uint16_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ChannelValues = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Borrows the arrays. Raises unless each has `channel_count` entries, as the output has, and the type is float32 or float16.
TensorSpec tensor_spec(const ChannelNumbers& channels, const ChannelValues& scale, const ChannelValues& shift,
                       bool channels_last, nb::dlpack::dtype type, size_t channel_count);

// All but the box and the flips, for an output of so many blocks. Raises where it is too large.
ResampleGeometry resample_geometry(size_t blocks_high, size_t blocks_wide, int filter, bool antialias, int chroma);

// (top, left, height, width), anything: what lies outside every image becomes a box that check_geometry() refuses.
void set_box(ResampleGeometry& geometry, const int64_t* box);

}  // namespace jpegfreq::python
