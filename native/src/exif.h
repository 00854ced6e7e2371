#pragma once

#include "jpegfreq.h"

namespace jpegfreq {

// The orientation (tag 0x0112 of IFD 0), 1 to 8. `tiff` is an EXIF segment after its "Exif\0\0". 1 if there is none, or
// none that can be read.
uint8_t read_orientation(Bytes tiff);

// Changes the orientation where it stands. False if there is no such tag.
bool set_orientation(Span<uint8_t> tiff, uint8_t orientation);

}  // namespace jpegfreq
