#include "written_segments.h"

#include "application_segments.h"
#include "exif.h"
#include "marker_codes.h"
#include "status.h"

namespace jpegfreq {

namespace {

constexpr size_t most_segment_bytes = 65533;

template <size_t size>
void write_body(uint8_t marker, const uint8_t (&body)[size], ApplicationSegments& told, JpegSink& sink) {
    sink.segment(marker, size);
    sink.put(Bytes{body, size});
    told.read(marker, {body, size});
}

// JFIF 1.01, square pixels, no thumbnail.
void write_jfif(ApplicationSegments& told, JpegSink& sink) {
    write_body(APP0, {'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0}, told, sink);
}

void write_adobe(ColorKind color, ApplicationSegments& told, JpegSink& sink) {
    const uint8_t transform = color == ColorKind::ycbcr ? 1 : color == ColorKind::ycck ? 2 : 0;
    write_body(APP14, {'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, transform}, told, sink);
}

// One entry in IFD 0: the orientation, a SHORT.
void write_exif(uint8_t orientation, ApplicationSegments& told, JpegSink& sink) {
    write_body(APP1, {'E',  'x',  'i', 'f', 0, 0, 'M', 'M', 0, 42,          0, 0, 0, 8, 0, 1,   //
                      0x01, 0x12, 0,   3,   0, 0, 0,   1,   0, orientation, 0, 0, 0, 0, 0, 0},  //
               told, sink);
}

bool has_chroma_or_grey(ColorKind color) { return color == ColorKind::grey || color == ColorKind::ycbcr; }

}  // namespace

Status write_segments(const Header& header, const WriteOptions& options, JpegSink& sink) {
    ApplicationSegments given;
    for (size_t i = 0; i < options.segments.size; i++) {
        const WrittenSegment& segment = options.segments.data[i];
        if (!(segment.marker >= APP0 && segment.marker <= APP15) && segment.marker != COM)
            return malformed("APPn", 0, "a segment with the marker code {}, which is neither APPn nor COM", "B.2.4.6",
                             segment.marker);
        if (segment.body.size > most_segment_bytes)
            return malformed("APPn", 0, "a segment of {} bytes (65533 are allowed)", "B.2.4.6",
                             int64_t(segment.body.size));
        given.read(segment.marker, segment.body);
    }
    ApplicationSegments told;
    const bool tells_color = given.saw_jfif || given.adobe_transform >= 0;
    if (!tells_color && options.add_color_segment && has_chroma_or_grey(header.color)) {
        write_jfif(told, sink);
    } else if (!tells_color &&
               (options.add_color_segment ? header.color != ColorKind::unknown : given.color(header) != header.color)) {
        write_adobe(header.color, told, sink);
    }
    if (!given.saw_exif && header.orientation != 1) write_exif(header.orientation, told, sink);
    for (size_t i = 0; i < options.segments.size; i++) {
        const WrittenSegment& segment = options.segments.data[i];
        sink.segment(segment.marker, segment.body.size);
        const size_t start = sink.size();
        sink.put(segment.body);
        if (!sink.ok()) return out_of_memory();
        if (is_exif(segment.marker, segment.body) && !told.saw_exif && given.orientation != header.orientation)
            set_orientation({sink.data() + start + exif_name_bytes, segment.body.size - exif_name_bytes},
                            header.orientation);
        told.read(segment.marker, {sink.data() + start, segment.body.size});
    }
    if (told.color(header) != header.color)
        return malformed("APPn", 0, "the JFIF and Adobe segments, or the number of components, tell another colour",
                         "");
    if (told.orientation != header.orientation)
        return malformed("APP1", 0, "the EXIF segment has no tag for the orientation {}", "", header.orientation);
    return Status();
}

}  // namespace jpegfreq
