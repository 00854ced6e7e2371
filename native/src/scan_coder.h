// Turns the gathered symbols of one scan into its Huffman tables, its header and its data.
#pragma once

#include "jpeg_sink.h"
#include "markers.h"
#include "symbols.h"

namespace jpegfreq {

// Buffers of more bytes are given back after each image.
constexpr size_t kept_bytes = 8 << 20;

class ScanCoder {
public:
    void begin();

    // Room for `count` more symbols; nullptr if there is no memory.
    Symbol* room(uint64_t count);
    // Where the symbols begin; room() may move them.
    Symbol* begin_symbols() { return symbols_.data(); }
    // The symbols up to here are complete.
    void advance(const Symbol* next) { used_ = size_t(next - symbols_.data()); }
    // A restart marker follows the symbols so far. False if there is no memory.
    bool end_interval();

    uint32_t* counts() { return counts_; }

    // Writes everything from DHT to the end of the data. Without `optimize`, the tables are those of K.3, which the frame has
    // already defined.
    Status write(const Header& header, const Scan& scan, bool optimize, JpegSink& sink);

    void trim();

private:
    void make_tables(const Header& header, const Scan& scan, bool optimize, Tables& tables);
    uint64_t code_symbols(const HuffmanSpec& spec, uint32_t first);
    bool write_interval(size_t begin, size_t end, JpegSink& sink);

    Buffer<Symbol> symbols_;
    size_t used_ = 0;
    Buffer<uint64_t> interval_ends_;  // in symbols_, of all but the last
    size_t interval_count_ = 0;       // of those
    Buffer<uint8_t> packed_;
    uint32_t counts_[symbol_numbers];
    CodedSymbol coded_[symbol_numbers];
};

}  // namespace jpegfreq
