#pragma once

#include "jpegfreq.h"

namespace jpegfreq {

// The orientation (tag 0x0112 of IFD 0), 1 to 8. `tiff` is an EXIF segment after its "Exif\0\0". 1 if there is none, or
// none that can be read.
uint8_t read_orientation(Bytes tiff);

}  // namespace jpegfreq
