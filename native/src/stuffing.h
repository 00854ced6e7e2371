// Byte stuffing (T.81 B.1.1.5): a zero after every FF of entropy-coded data.
#pragma once

#include "jpeg_sink.h"

namespace jpegfreq {

// False if there is no memory.
bool write_stuffed(Bytes data, JpegSink& sink);

}  // namespace jpegfreq
