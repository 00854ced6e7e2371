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
    const LaneKernels* lanes;  // null: one stream at a time
    const ResampleKernels* resample;
    SplitFrequencies split_frequencies;
    const WriteKernels* write;
};

// The fastest set of this machine. For tests and comparisons, the environment variable JPEGFREQ_INSTRUCTION_SET names another:
// "avx2" instead of "avx512"; "generic" is what machines run that no set is written for, "plain" the same without lanes.
const Kernels& kernels();

}  // namespace jpegfreq
