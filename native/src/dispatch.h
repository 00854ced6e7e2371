// The functions that exist for several instruction sets: one table, chosen once, at the first use.
#pragma once

#include "frequencies.h"
#include "lanes.h"
#include "progressive.h"
#include "resample_pass.h"
#include "sequential.h"
#include "symbols.h"
#include "unstuff.h"

namespace jpegfreq {

struct Kernels {
    const char* instruction_set;
    CopyToFf copy_to_ff;
    DecodeSegment decode_segment;
    const AcKernels* ac;
    const LaneKernels* lanes;  // null: decoding several streams side by side gains nothing
    const ResampleKernels* resample;
    SplitFrequencies split_frequencies;
    const WriteKernels* write;
};

// The fastest set of this machine, or plain C++ if the environment variable JPEGFREQ_INSTRUCTION_SET is "generic" (for
// tests and comparisons).
const Kernels& kernels();

}  // namespace jpegfreq
