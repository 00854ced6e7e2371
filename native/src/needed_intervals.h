// The restart intervals of a sequential scan that hold blocks somebody reads; the others are neither unstuffed nor decoded.
#pragma once

#include "sequential.h"

namespace jpegfreq {

// Note [Needed intervals]
// A restart interval can be decoded without those before it (T.81 E.1.4), so a crop needs only the intervals that hold some
// of its blocks. The markers tell where these begin. They are believed only where they stand as the standard has it: from
// the scan's first byte to the end of the last needed interval nothing but entropy-coded data and RST0, RST1, ... in order.
// Of what nobody reads, nothing else is checked: not the codes within an interval that is left out, and nothing after
// the last needed one. Where the markers are not so, or where a needed interval turns out to be damaged, the scan is read
// from its beginning like any other, which gives the coefficients and errors that it gives without this.

// Copies the needed intervals of an early stop's scan without byte stuffing; segments are numbered as Unstuffed has it.
// False: `out` holds nothing, for there is no such scan, its markers are irregular, or memory is out.
bool unstuff_needed(Bytes jpeg, const Scan& parsed, const SequentialScan& scan, Unstuffed& out);

// Decodes what unstuff_needed() copied. False: an interval is damaged.
bool decode_needed(const SequentialScan& scan, const Unstuffed& data);

}  // namespace jpegfreq
