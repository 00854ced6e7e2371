// What the application segments before the first scan tell of an image's colour and orientation, by libjpeg's rules.
#pragma once

#include "jpegfreq.h"

namespace jpegfreq {

struct ApplicationSegments {
    bool saw_jfif = false;
    bool saw_exif = false;
    int adobe_transform = -1;  // -1: no Adobe segment
    uint8_t orientation = 1;   // of the first EXIF segment

    // A segment that tells nothing changes nothing.
    void read(uint8_t marker, Bytes body);

    ColorKind color(const Header& header) const;
};

bool is_jfif(uint8_t marker, Bytes body);
bool is_adobe(uint8_t marker, Bytes body);
bool is_exif(uint8_t marker, Bytes body);
constexpr size_t exif_name_bytes = 6;  // "Exif\0\0", before the TIFF header

}  // namespace jpegfreq
