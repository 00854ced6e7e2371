// Marker segments (T.81 B): everything between the entropy-coded data. Parses, checks and bounds; decodes nothing.
#pragma once

#include "application_segments.h"
#include "jpegfreq.h"
#include "marker_codes.h"

namespace jpegfreq {

// A DHT table as the file has it (T.81 B.2.4.2). That its codes do not overflow the tree (C.2) is checked where a scan
// names it (next_scan), so every table of a scan that next_scan returned is sound.
struct HuffmanSpec {
    bool defined = false;
    uint16_t value_count = 0;
    uint8_t code_counts[16] = {};  // BITS: codes of length i + 1
    uint8_t values[256] = {};      // HUFFVAL
    uint64_t offset_bytes = 0;     // of the DHT marker
};

// The tables in force where a scan begins. A scan keeps a copy: a table defined later must not alter it.
struct Tables {
    HuffmanSpec dc[4];
    HuffmanSpec ac[4];
    uint8_t arithmetic_dc_lower[4] = {0, 0, 0, 0};  // L, T.81 F.1.4.4.1.4
    uint8_t arithmetic_dc_upper[4] = {1, 1, 1, 1};  // U
    uint8_t arithmetic_ac_kx[4] = {5, 5, 5, 5};     // Kx
};

struct ScanComponent {
    uint8_t index = 0;  // into Header::components
    uint8_t dc_table = 0;
    uint8_t ac_table = 0;
};

struct Scan {
    uint8_t component_count = 0;
    ScanComponent components[max_components];
    uint8_t Ss = 0, Se = 63, Ah = 0, Al = 0;
    uint32_t restart_interval = 0;   // MCUs, 0 = none
    uint64_t offset_bytes = 0;       // of the SOS marker
    uint64_t data_offset_bytes = 0;  // of the first entropy-coded byte
    // One component: its own blocks, row by row, without padding (A.2.2). More: MCUs of the frame (A.2.3).
    uint32_t mcus_wide = 0;
    uint32_t mcus_high = 0;

    uint64_t mcu_count() const { return uint64_t(mcus_wide) * mcus_high; }
    // 1 for a scan without restarts.
    uint64_t interval_count() const {
        return restart_interval ? (mcu_count() + restart_interval - 1) / restart_interval : 1;
    }
};

// Which tables a scan uses (T.81 G.1.2, G.1.3; both in a sequential frame). next_scan() has checked those and no others.
inline bool needs_dc_tables(const Header& header, const Scan& scan) {
    return !is_progressive(header.process) || (scan.Ss == 0 && scan.Ah == 0);
}
inline bool needs_ac_tables(const Header& header, const Scan& scan) {
    return !is_progressive(header.process) || scan.Ss > 0;
}

class MarkerReader {
public:
    explicit MarkerReader(Bytes jpeg);

    // Up to the first SOS, exclusive; checks the frame. Does not look for DNL.
    Status read_frame(Header& header);

    // From the current position past the next SOS. `found` is false at EOI or at the end of the data;
    // saw_eoi() tells which. Checks that the tables the scan names are defined, latches quantization tables.
    Status next_scan(const Header& header, Scan& scan, bool& found);

    // Continues after a scan: the reader looks for the next marker from this offset on.
    void seek(uint64_t offset_bytes) { position_ = offset_bytes; }
    uint64_t position() const { return position_; }

    Bytes jpeg() const { return jpeg_; }
    const Tables& tables() const { return tables_; }
    bool saw_eoi() const { return saw_eoi_; }
    // Components that some scan has named so far, a bit each; and their tables, natural order, latched at the first scan.
    uint32_t components_seen() const { return components_seen_; }
    const uint16_t* quantization_table(int component) const { return latched_[component]; }

private:
    bool next_marker(uint8_t& marker, uint64_t& offset);
    Status segment_body(const char* name, uint64_t offset, Bytes& body);
    Status read_segment(uint8_t marker, uint64_t offset);
    Status read_sof(uint8_t marker, uint64_t offset, Header& header);
    Status read_dqt(uint64_t offset, Bytes body);
    Status read_dht(uint64_t offset, Bytes body);
    Status read_dac(uint64_t offset, Bytes body);
    Status read_dnl(Header& header) const;
    Status read_sos(const Header& header, uint64_t offset, Scan& scan);
    Status check_tables(const Header& header, const Scan& scan) const;
    Status latch_quantization(const Header& header, const Scan& scan);

    Bytes jpeg_;
    uint64_t position_ = 0;
    Tables tables_;
    uint16_t quantization_[4][64] = {};
    bool quantization_defined_[4] = {};
    uint16_t latched_[max_components][64] = {};
    uint32_t components_seen_ = 0;
    uint32_t restart_interval_ = 0;
    bool saw_eoi_ = false;
    ApplicationSegments application_;
};

// Offset of the first marker from `offset_bytes` on that is neither RSTn nor a stuffed FF 00; the size of the data if there
// is none.
uint64_t find_marker(Bytes jpeg, uint64_t offset_bytes);

}  // namespace jpegfreq
