// What a box, a window and an output size mean for each component: its two axes, and the blocks that it has to give. See
// ResampleGeometry.
#pragma once

#include "jpegfreq_resample.h"
#include "resample_taps.h"

namespace jpegfreq {

Status refuse_resample(const char* message, int64_t detail = 0);

// A component's axis of the output, vertical or horizontal.
Axis make_axis(const Header& header, const ResampleGeometry& geometry, int component, bool vertical);

// The axis of a reduced image: it takes each of its samples once, in order or flipped.
Axis reduced_axis(const Axis& axis);

}  // namespace jpegfreq
