// Quantization tables, frame header, Huffman tables and scan header of a written file (T.81 B.2).
#pragma once

#include "jpeg_sink.h"
#include "markers.h"

namespace jpegfreq {

// Gives every component a table number under which only its own table stands: its number of before, if it can be.
void number_tables(Header& header, const uint16_t (*tables)[64]);

void write_quantization_tables(const Header& header, const uint16_t (*tables)[64], JpegSink& sink);
void write_frame(const Header& header, JpegSink& sink);
// Of these tables, the ones that are defined, in one segment; nothing if there are none.
void write_huffman_tables(const Tables& tables, JpegSink& sink);
void write_restart_interval(uint32_t interval, JpegSink& sink);
void write_scan_header(const Header& header, const Scan& scan, JpegSink& sink);

}  // namespace jpegfreq
