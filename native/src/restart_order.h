// Which interval follows a restart marker; see Note [Restart order] in unstuff.h.
#pragma once

#include "marker_codes.h"
#include "markers.h"

namespace jpegfreq {

constexpr uint64_t no_interval = UINT64_MAX;

// The next RSTm from `offset_bytes` on, before any marker that begins something else than entropy-coded data. The size of
// the data if there is none.
uint64_t find_restart(Bytes jpeg, uint64_t offset_bytes);

// The interval that follows the restart marker at `offset_bytes`, where interval `expected` is due. no_interval: none of
// `interval_count`, so the marker and what follows it are to be skipped.
uint64_t interval_after(Bytes jpeg, uint64_t offset_bytes, uint64_t expected, uint64_t interval_count);

}  // namespace jpegfreq
