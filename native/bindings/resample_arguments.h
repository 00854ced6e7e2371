// Converts the arguments that resample and read_batch share from Python to the core's types.
#pragma once

#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>

#include <array>

#include "bindings.h"
#include "jpegfreq_resample.h"

namespace jpegfreq::python {

using ChannelNumbers = nb::ndarray<const uint16_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ChannelValues = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// The memory of a result. DLPack gives page-locked memory of CUDA a device of its own, so that none can be named here.
template <size_t Dimensions>
using OutputArray = nb::ndarray<nb::ndim<Dimensions>, nb::c_contig>;

// Raises where the processor cannot reach the memory.
void check_device(int32_t device_type);

// Borrows the arrays. Raises unless each has `channel_count` entries, as the output has, and the type is one of TensorType.
TensorSpec tensor_spec(const ChannelNumbers& channels, const ChannelValues& scale, const ChannelValues& shift,
                       bool channels_last, nb::dlpack::dtype type, size_t channel_count);

// (height, width) in pixels.
using PixelSize = std::array<uint32_t, 2>;

// All but the box and the flips, for results of this size. Raises unless the output has as many blocks as they need.
ResampleGeometry resample_geometry(PixelSize size, size_t blocks_high, size_t blocks_wide, int filter, bool antialias,
                                   int chroma);

// What of an image is wanted, as jpegfreq/crops.py writes it in numbers: (top, left, height, width, resized height, resized
// width). The latter two are 0 for a box, and else the size to which the whole image is resized, of which the others are a
// window. Anything can be given: what lies outside every image becomes a geometry that check_geometry() refuses.
constexpr size_t region_numbers = 6;
// `image`: of the image as `geometry` refers to it.
void set_region(ResampleGeometry& geometry, const int64_t* region, PixelSize image);

}  // namespace jpegfreq::python
