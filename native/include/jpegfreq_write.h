// The contract of the native writer: quantized coefficients in, the bytes of a JPEG file out.
//
// The exact inverse of read_coefficients. Nothing here throws, prints or allocates per block; a Writer keeps its scratch.
#pragma once

#include "jpegfreq.h"

namespace jpegfreq {

// An APPn or COM segment, without its marker and length.
struct WrittenSegment {
    uint8_t marker = 0;  // second byte of the marker
    Bytes body;
};

struct WrittenScan {
    uint8_t component_count = 0;
    uint8_t components[max_components] = {};  // into Header::components
    uint8_t Ss = 0, Se = 63, Ah = 0, Al = 0;
};

struct WriteOptions {
    // Huffman tables that fit this image best; else those of T.81 K.3, which sequential files of 8 bits can use.
    bool optimize = true;
    // Makes a baseline file an extended one if its tables or precision need that.
    bool extend = false;
    // MCU rows between restart markers, 0 = no markers; negative: header.restart_interval MCUs.
    int64_t restart_rows = -1;
    // Empty: one scan of all components or, where an MCU would have too many blocks, one scan per component; progressive
    // frames take libjpeg's default script.
    Span<const WrittenScan> scans;
    // Written in this order. The file tells the colour and the orientation of the header: the orientation is changed
    // inside an EXIF segment, and a segment is added where these ones do not tell.
    Span<const WrittenSegment> segments;
    // Adds the JFIF or Adobe segment that libjpeg writes for the colour, unless `segments` holds such a segment.
    bool add_color_segment = false;
};

// A coefficient that the process cannot hold.
struct CoefficientPlace {
    int component = -1;  // -1: the Status is not about a coefficient
    uint32_t block_row = 0, block_column = 0;
    uint8_t frequency = 0;  // 8 * v + u
    int32_t value = 0;
};

// Scratch of one thread, reused between images. Opaque: writer.cpp.
class Writer {
public:
    Writer();
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    // Writes the image that `header` describes: its process, precision, size, components, colour and orientation are those
    // of the file. Everything is checked; the header may come from anywhere. planes[c] and tables[c] as in Output; the
    // tables are written by content, so that components may share or change their table numbers.
    Status write(const Header& header, const int16_t* const planes[], const uint16_t (*tables)[64],
                 const WriteOptions& options);

    // The file of the last write() that was ok; valid until the next call.
    Bytes jpeg() const;

    // Where the last write() found a coefficient out of range.
    CoefficientPlace place() const;

private:
    struct Scratch;
    Scratch* scratch_;
};

}  // namespace jpegfreq
