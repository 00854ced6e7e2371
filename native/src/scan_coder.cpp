#include "scan_coder.h"

#include <cstring>

#include "dispatch.h"
#include "huffman_codes.h"
#include "standard_tables.h"
#include "status.h"
#include "stuffing.h"
#include "written_tables.h"

namespace jpegfreq {

namespace {

// F.1.2.1, F.1.2.2, G.1.2.2: how many bits follow a symbol.
uint32_t further_bits(bool is_dc, uint32_t symbol) {
    const uint32_t run = symbol >> 4, size = symbol & 15;
    if (is_dc || size != 0) return size;
    return run == 15 ? 0 : run;  // an end-of-band run, or ZRL
}

}  // namespace

void ScanCoder::begin() {
    used_ = 0;
    interval_count_ = 0;
    std::memset(counts_, 0, sizeof counts_);
}

Symbol* ScanCoder::room(uint64_t count) {
    if (symbols_.size() - used_ < count) {
        if (count > SIZE_MAX / 16 || !symbols_.reserve(used_ + size_t(count) + used_ / 2, used_)) return nullptr;
    }
    return symbols_.data() + used_;
}

bool ScanCoder::end_interval() {
    const size_t count = interval_count_;
    if (interval_ends_.size() == count && !interval_ends_.reserve(2 * count + 64, count)) return false;
    interval_ends_[interval_count_++] = used_;
    return true;
}

void ScanCoder::trim() {
    symbols_.trim(kept_bytes);
    interval_ends_.trim(kept_bytes);
    packed_.trim(kept_bytes);
}

void ScanCoder::make_tables(const Header& header, const Scan& scan, bool optimize, Tables& tables) {
    for (int i = 0; i < scan.component_count; i++) {
        const ScanComponent& component = scan.components[i];
        HuffmanSpec& dc = tables.dc[component.dc_table];
        HuffmanSpec& ac = tables.ac[component.ac_table];
        if (needs_dc_tables(header, scan) && optimize && !dc.defined)
            optimal_spec(counts_ + dc_table_first(component.dc_table), dc);
        if (needs_ac_tables(header, scan) && optimize && !ac.defined)
            optimal_spec(counts_ + ac_table_first(component.ac_table), ac);
    }
    if (!optimize) set_missing_tables(tables);
}

// Returns how many bits the table's symbols take.
uint64_t ScanCoder::code_symbols(const HuffmanSpec& spec, uint32_t first) {
    HuffmanCode codes[256];
    assign_codes(spec, codes);
    const bool is_dc = first < ac_table_first(0);
    uint64_t bits = 0;
    for (uint32_t symbol = 0; symbol < 256; symbol++) {
        const uint32_t further = further_bits(is_dc, symbol);
        coded_[first + symbol] = {uint32_t(codes[symbol].bits) << further, codes[symbol].length + further};
        bits += uint64_t(counts_[first + symbol]) * coded_[first + symbol].length;
    }
    return bits;
}

bool ScanCoder::write_interval(size_t begin, size_t end, JpegSink& sink) {
    const Symbol* const symbols = symbols_.data();
    uint8_t* const packed = packed_.data();
    const uint8_t* const stop = kernels().write->pack_symbols(symbols + begin, symbols + end, coded_, packed);
    return write_stuffed({packed, size_t(stop - packed)}, sink);
}

Status ScanCoder::write(const Header& header, const Scan& scan, bool optimize, JpegSink& sink) {
    Tables tables;
    make_tables(header, scan, optimize, tables);
    std::memset(coded_, 0, sizeof coded_);
    uint64_t bits = 0;
    for (uint32_t n = 0; n <= 16; n++) {
        coded_[raw_first + n] = {0, n};
        bits += uint64_t(counts_[raw_first + n]) * n;
    }
    for (int i = 0; i < 4; i++) {
        if (tables.dc[i].defined) bits += code_symbols(tables.dc[i], dc_table_first(i));
        if (tables.ac[i].defined) bits += code_symbols(tables.ac[i], ac_table_first(i));
    }
    if (bits / 8 > SIZE_MAX / 4 || !packed_.reserve(size_t(bits / 8) + 16)) return out_of_memory();
    if (optimize) write_huffman_tables(tables, sink);
    write_scan_header(header, scan, sink);
    size_t begin = 0;
    for (size_t n = 0; n < interval_count_; n++) {
        if (!write_interval(begin, size_t(interval_ends_[n]), sink)) return out_of_memory();
        sink.marker(uint8_t(RST0 + n % 8));
        begin = size_t(interval_ends_[n]);
    }
    if (!write_interval(begin, used_, sink) || !sink.ok()) return out_of_memory();
    return Status();
}

}  // namespace jpegfreq
