// Sequential images row by row of MCUs, for a RowSink: no whole plane is written, and what it reads is still in the cache.
#pragma once

#include "markers.h"
#include "needed_intervals.h"

namespace jpegfreq {

// Tells the sink of the rows of MCUs before `mcu`, of all components. The scan has them in the order of the frame.
void tell_rows(RowSink& sink, const Output& output, const SequentialScan& scan, uint64_t mcu);

// Decodes a restart interval from the cursor to `mcu_end` and tells the sink, if there is one, of every row of MCUs that is
// complete. False: it is damaged.
bool decode_interval(const SequentialScan& scan, const uint8_t* bytes, uint64_t end, uint64_t mcu_end, Cursor& cursor,
                     const Output& output, RowSink* sink);

// Decoder::read_rows() in one stream, on machines and for images that gain nothing by lanes.
bool decode_rows(Bytes jpeg, const Header& header, Output& output, TableCache& tables, Unstuffed& data, RowSink& sink);

}  // namespace jpegfreq
