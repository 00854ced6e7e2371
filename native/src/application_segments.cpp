#include "application_segments.h"

#include <cstring>

#include "exif.h"
#include "marker_codes.h"

namespace jpegfreq {

bool is_jfif(uint8_t marker, Bytes body) {
    return marker == APP0 && body.size >= 14 && std::memcmp(body.data, "JFIF", 5) == 0;
}

bool is_adobe(uint8_t marker, Bytes body) {
    return marker == APP14 && body.size >= 12 && std::memcmp(body.data, "Adobe", 5) == 0;
}

bool is_exif(uint8_t marker, Bytes body) {
    return marker == APP1 && body.size >= exif_name_bytes && std::memcmp(body.data, "Exif\0", exif_name_bytes) == 0;
}

void ApplicationSegments::read(uint8_t marker, Bytes body) {
    if (is_jfif(marker, body)) {
        saw_jfif = true;
    } else if (is_adobe(marker, body)) {
        adobe_transform = body.data[11];
    } else if (is_exif(marker, body) && !saw_exif) {
        saw_exif = true;
        orientation = read_orientation({body.data + exif_name_bytes, body.size - exif_name_bytes});
    }
}

ColorKind ApplicationSegments::color(const Header& header) const {
    if (header.component_count == 1) return ColorKind::grey;
    if (header.component_count == 3) {
        if (saw_jfif) return ColorKind::ycbcr;
        if (adobe_transform >= 0) return adobe_transform == 0 ? ColorKind::rgb : ColorKind::ycbcr;
        const bool rgb = header.components[0].identifier == 'R' && header.components[1].identifier == 'G' &&
                         header.components[2].identifier == 'B';
        return rgb ? ColorKind::rgb : ColorKind::ycbcr;
    }
    if (header.component_count == 4) return adobe_transform > 0 ? ColorKind::ycck : ColorKind::cmyk;
    return ColorKind::unknown;
}

}  // namespace jpegfreq
