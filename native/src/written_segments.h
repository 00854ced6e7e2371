// The application segments and comments of a written file.
#pragma once

#include "jpeg_sink.h"
#include "jpegfreq_write.h"

namespace jpegfreq {

// Writes options.segments, so that a reader finds the header's colour and orientation. See WriteOptions.
Status write_segments(const Header& header, const WriteOptions& options, JpegSink& sink);

}  // namespace jpegfreq
