// Arithmetic-coded scans: sequential (T.81 F.1.4, F.2.4) and progressive (G.1.3, G.2.3), 8 and 12 bit.
#include <cstring>

#include "damaged_blocks.h"
#include "progression.h"
#include "qm_decoder.h"
#include "restart_order.h"
#include "scan_decoders.h"
#include "standard_tables.h"
#include "status.h"

namespace jpegfreq {

namespace {

// Note [Bounded work on arithmetic data]
// A QM decoder makes a decision from any data and from none (see Note [Zeros after the data]), and 32768 of them may cost
// one bit. What bounds the work of a file of n bytes:
// - Every non-zero AC coefficient needs one decision of even probability, its sign: half a bit or more. With it come at most
//   about 100 others in its first scan (the zeros before it, its magnitude) and 64 in each of up to 13 refinements. So data
//   in the file pay for the coefficients.
// - Zeros after the data would pay for any number. Dropped zeros of a legal file hold next to no coefficients, because the
//   encoder drops whole zero bytes only, and signs make their bits random. So the coefficients decoded when the data are
//   exhausted may number `unpaid_base + unpaid_per_byte * n`; after that the data count as truncated.
// - What is left costs at most about 40 decisions per block and scan (DC difference, end of block), which flat areas
//   legally get for nothing. The header's promise bounds it for a sequential frame, where a component has one scan. For a
//   progressive frame the blocks visited in all scans may number `visits_base + visits_per_byte * n`: a flat image of
//   max_pixels with ten scans stays below the base, a photograph far below the second term.
constexpr uint64_t unpaid_base = 4096, unpaid_per_byte = 8;
constexpr uint64_t visits_base = uint64_t(1) << 26, visits_per_byte = 1024;

// Tables F.4 and F.5, G.2: the contexts of one DC or AC statistics area, by number.
constexpr int dc_contexts = 49, dc_X1 = 20;
constexpr int ac_contexts = 245, ac_X2_low = 189, ac_X2_high = 217;
constexpr int magnitude_bits = 14;  // Mn = Xn + 14

// What a block's decoding gives: the number of AC coefficients that became non-zero, or what is wrong with it.
constexpr int magnitude_overflow = -1, band_overflow = -2;

struct Statistics {
    Context dc[4][dc_contexts];
    Context ac[4][ac_contexts];
};

// Figures F.23 (from X1 = `context` on, the first decision having been 1) and F.24: a magnitude, less one.
// Sz, the power of two below it, goes to `category`. Negative where it would need more than 15 bits.
inline int decode_magnitude(QmDecoder& decoder, Context* context, int category_so_far, int& category) {
    int m = category_so_far;
    while (decoder.decide(*context)) {
        m <<= 1;
        if (m == 0x8000) return magnitude_overflow;
        context++;
    }
    category = m;
    context += magnitude_bits;
    int v = m;
    while (m >>= 1)
        if (decoder.decide(*context)) v |= m;
    return v;
}

class ScanDecoder {
public:
    ScanDecoder(const MarkerReader& reader, const Header& header, const Scan& scan, Output& output, uint64_t& unpaid,
                DamagedBlocks& lost)
        : jpeg_(reader.jpeg()),
          tables_(reader.tables()),
          header_(header),
          scan_(scan),
          output_(output),
          unpaid_(unpaid),
          lost_(lost) {
        begin_interval(scan.data_offset_bytes);
    }

    // Decodes MCU rows [0, mcu_rows). False: out of memory.
    bool decode(uint32_t mcu_rows, uint32_t scan_number, Damages& damages);

    // Where reading stopped.
    uint64_t position() const { return uint64_t(decoder_.next() - jpeg_.data); }

private:
    using DecodeBlock = int (ScanDecoder::*)(QmDecoder&, const ScanComponent&, int16_t*);
    template <DecodeBlock decode_block>
    bool decode_mcus(uint32_t mcu_rows, uint32_t scan_number, Damages& damages);
    template <DecodeBlock decode_block>
    Status decode_interval(uint64_t& mcu, uint64_t end);
    template <DecodeBlock decode_block>
    int decode_mcu(uint32_t mcu_row, uint32_t mcu_column);

    int decode_sequential(QmDecoder& decoder, const ScanComponent& component, int16_t* block);
    int decode_dc_first(QmDecoder& decoder, const ScanComponent& component, int16_t* block);
    int decode_dc_refinement(QmDecoder& decoder, const ScanComponent& component, int16_t* block);
    int decode_ac_first(QmDecoder& decoder, const ScanComponent& component, int16_t* block);
    int decode_ac_refinement(QmDecoder& decoder, const ScanComponent& component, int16_t* block);

    bool decode_dc_difference(QmDecoder& decoder, const ScanComponent& component);
    int decode_ac_band(QmDecoder& decoder, const ScanComponent& component, int16_t* block, int Ss, int Se);

    void begin_interval(uint64_t offset);
    Status check_progress(int coefficients);
    Status next_interval(uint64_t& interval);
    bool is_lost(int component, uint64_t block) const;
    bool mark_lost(uint64_t begin, uint64_t end);

    const Bytes jpeg_;
    const Tables& tables_;
    const Header& header_;
    const Scan& scan_;
    Output& output_;
    uint64_t& unpaid_;  // what is left of it
    DamagedBlocks& lost_;
    QmDecoder decoder_;
    Statistics statistics_;
    uint16_t dc_prediction_[max_components];   // by component of the frame; modulo 2^16, as libjpeg counts
    uint8_t dc_conditioning_[max_components];  // F.1.4.4.1.2: 0, 4, 8, 12, 16: the first context of five fours
};

void ScanDecoder::begin_interval(uint64_t offset) {
    decoder_ = QmDecoder(jpeg_.data + offset, jpeg_.data + jpeg_.size);
    std::memset(&statistics_, 0, sizeof statistics_);  // F.1.4.4.1.5: index 0, MPS 0
    std::memset(dc_prediction_, 0, sizeof dc_prediction_);
    std::memset(dc_conditioning_, 0, sizeof dc_conditioning_);
}

// Figure F.19 and F.1.4.4.1: updates the component's prediction. False when the magnitude overflows.
bool ScanDecoder::decode_dc_difference(QmDecoder& decoder, const ScanComponent& component) {
    Context* const contexts = statistics_.dc[component.dc_table];
    uint8_t& conditioning = dc_conditioning_[component.index];
    Context* const S0 = contexts + conditioning;
    if (!decoder.decide(S0[0])) {
        conditioning = 0;
        return true;
    }
    const int sign = decoder.decide(S0[1]);
    int category = 0, v = 0;
    if (decoder.decide(S0[2 + sign])) {
        v = decode_magnitude(decoder, contexts + dc_X1, 1, category);
        if (v < 0) return false;
    }
    const int lower = (1 << tables_.arithmetic_dc_lower[component.dc_table]) >> 1;
    const int upper = (1 << tables_.arithmetic_dc_upper[component.dc_table]) >> 1;
    if (category < lower) {
        conditioning = 0;
    } else {
        conditioning = uint8_t((category > upper ? 12 : 4) + 4 * sign);
    }
    dc_prediction_[component.index] = uint16_t(dc_prediction_[component.index] + (sign ? -(v + 1) : v + 1));
    return true;
}

// Figure F.20 (sequential) and G.1.3.2: coefficients Ss to Se; the values are scaled by 2^Al.
inline int ScanDecoder::decode_ac_band(QmDecoder& decoder, const ScanComponent& component, int16_t* block, int Ss,
                                       int Se) {
    Context* const contexts = statistics_.ac[component.ac_table];
    const int Kx = tables_.arithmetic_ac_kx[component.ac_table];
    int coefficients = 0;
    for (int k = Ss; k <= Se; k++) {
        Context* context = contexts + 3 * (k - 1);
        if (decoder.decide(context[0])) break;  // end of block
        while (!decoder.decide(context[1])) {
            context += 3;
            if (++k > Se) return band_overflow;
        }
        const int sign = decoder.decide_evenly();
        int category = 0, v = 0;
        if (decoder.decide(context[2])) {
            v = 1;
            if (decoder.decide(context[2])) {
                v = decode_magnitude(decoder, contexts + (k <= Kx ? ac_X2_low : ac_X2_high), 2, category);
                if (v < 0) return magnitude_overflow;
            }
        }
        v = (v + 1) * (1 << scan_.Al);
        block[natural_order[k]] = int16_t(sign ? -v : v);
        coefficients++;
    }
    return coefficients;
}

int ScanDecoder::decode_sequential(QmDecoder& decoder, const ScanComponent& component, int16_t* block) {
    if (!decode_dc_difference(decoder, component)) return magnitude_overflow;
    block[0] = int16_t(dc_prediction_[component.index]);
    return decode_ac_band(decoder, component, block, 1, 63);
}

int ScanDecoder::decode_dc_first(QmDecoder& decoder, const ScanComponent& component, int16_t* block) {
    if (!decode_dc_difference(decoder, component)) return magnitude_overflow;
    block[0] = int16_t(uint32_t(dc_prediction_[component.index]) << scan_.Al);
    return 0;
}

// G.1.3.1: one bit per block, of even probability.
int ScanDecoder::decode_dc_refinement(QmDecoder& decoder, const ScanComponent&, int16_t* block) {
    if (decoder.decide_evenly()) block[0] = int16_t(block[0] | 1 << scan_.Al);
    return 0;
}

int ScanDecoder::decode_ac_first(QmDecoder& decoder, const ScanComponent& component, int16_t* block) {
    return decode_ac_band(decoder, component, block, scan_.Ss, scan_.Se);
}

// G.1.3.3, figure G.10.
int ScanDecoder::decode_ac_refinement(QmDecoder& decoder, const ScanComponent& component, int16_t* block) {
    Context* const contexts = statistics_.ac[component.ac_table];
    const int one = 1 << scan_.Al;
    int coefficients = 0;
    int EOBx = scan_.Se;  // the end of block of the scans before: no end is coded up to it
    while (EOBx >= scan_.Ss && !block[natural_order[EOBx]]) EOBx--;
    for (int k = scan_.Ss; k <= scan_.Se; k++) {
        Context* context = contexts + 3 * (k - 1);
        if (k > EOBx && decoder.decide(context[0])) break;
        for (;;) {
            int16_t& coefficient = block[natural_order[k]];
            if (coefficient) {
                if (decoder.decide(context[2])) coefficient = int16_t(coefficient + (coefficient < 0 ? -one : one));
                break;
            }
            if (decoder.decide(context[1])) {
                coefficient = int16_t(decoder.decide_evenly() ? -one : one);
                coefficients++;
                break;
            }
            context += 3;
            if (++k > scan_.Se) return band_overflow;
        }
    }
    return coefficients;
}

// A.2.3: the blocks of one MCU; those that only fill up the last MCUs of a row or column are decoded and dropped.
template <ScanDecoder::DecodeBlock decode_block>
inline int ScanDecoder::decode_mcu(uint32_t mcu_row, uint32_t mcu_column) {
    QmDecoder decoder = decoder_;  // in registers
    int coefficients = 0;
    for (int i = 0; i < scan_.component_count; i++) {
        const ScanComponent& scan_component = scan_.components[i];
        const Component& component = header_.components[scan_component.index];
        const bool alone = scan_.component_count == 1;  // A.2.2
        const uint32_t high = alone ? 1 : component.vertical_sampling_factor;
        const uint32_t wide = alone ? 1 : component.horizontal_sampling_factor;
        for (uint32_t y = 0; y < high; y++) {
            for (uint32_t x = 0; x < wide; x++) {
                const uint32_t block_row = mcu_row * high + y, block_column = mcu_column * wide + x;
                int16_t padding[64];
                int16_t* block = padding;
                const uint64_t number = uint64_t(block_row) * component.blocks_wide + block_column;
                const bool is_inside = block_row < component.blocks_high && block_column < component.blocks_wide;
                constexpr DecodeBlock refine_dc = &ScanDecoder::decode_dc_refinement;
                if (is_inside && !(decode_block == refine_dc && is_lost(scan_component.index, number))) {
                    block = output_.planes[scan_component.index] + 64 * number;
                } else {
                    std::memset(padding, 0, sizeof padding);
                }
                const int result = (this->*decode_block)(decoder, scan_component, block);
                if (result < 0) {
                    decoder_ = decoder;
                    return result;
                }
                coefficients += result;
            }
        }
    }
    decoder_ = decoder;
    return coefficients;
}

// After each MCU: is it whole, and do the data still pay for the work?
Status ScanDecoder::check_progress(int coefficients) {
    const bool exhausted = decoder_.exhausted();
    // Dropped zeros cannot be told from lost bytes, so only a marker makes the data complete.
    if (exhausted && decoder_.source() == QmDecoder::Source::end_of_file)
        return truncated("scan data", jpeg_.size, "the data end before a marker ends the scan", "B.2.1");
    if (coefficients == magnitude_overflow)
        return malformed("scan data", position(), "a magnitude of more than 15 bits", "F.1.4.4.1.3");
    if (coefficients == band_overflow)
        return malformed("scan data", position(), "a run of zeros past coefficient {}", "F.1.4.4.2", scan_.Se);
    if (!exhausted) return Status();
    if (uint64_t(coefficients) > unpaid_)
        return truncated("scan data", position(), "a marker stands before the end of the scan", "D.1.8");
    unpaid_ -= uint64_t(coefficients);
    return Status();
}

// Moves to the interval after the one that has ended, whose number becomes that of the new one: its own plus 1 unless
// intervals are missing, and the number of intervals if nothing follows. Says what is wrong with the marker.
// Bytes left before it are skipped, as libjpeg does: the interval is complete, or known to be damaged.
Status ScanDecoder::next_interval(uint64_t& interval) {
    const uint64_t expected = interval + 1, count = scan_.interval_count();
    const int64_t due = int64_t((expected - 1) & 7);
    Status status;
    uint64_t at = position();
    do {
        while (at + 1 < jpeg_.size &&
               (jpeg_.data[at] != 0xFF || jpeg_.data[at + 1] == 0xFF || is_reserved(jpeg_.data[at + 1])))
            at++;
        interval = count;
        if (at + 1 >= jpeg_.size)
            return truncated("scan data", jpeg_.size, "the data end where RST{} belongs", "B.2.1", due);
        if (!is_restart(jpeg_.data[at + 1])) {
            const Code code = jpeg_.data[at + 1] == EOI ? Code::truncated : Code::malformed;
            status = failure(code, "scan data", at, "another marker where RST{} belongs", "B.2.1", due);
            at = find_restart(jpeg_, at);
            if (at == jpeg_.size) return status;
        }
        interval = interval_after(jpeg_, at, expected, count);
        at += 2;
    } while (interval == no_interval);
    if (status.ok() && interval != expected)
        status = malformed("scan data", at - 2, "another marker where RST{} belongs", "B.2.1", due);
    begin_interval(at);
    return status;
}

// Whether an earlier scan lost some of the coefficients that this one refines.
bool ScanDecoder::is_lost(int component, uint64_t block) const {
    const uint64_t* lost = lost_.of(component);
    return lost && (lost[block] & band_bits(scan_.Ss, scan_.Se)) != 0;
}

bool ScanDecoder::mark_lost(uint64_t begin, uint64_t end) {
    return !is_progressive(header_.process) || lost_.mark(header_, scan_, begin, end);
}

// `mcu` moves to the first MCU that could not be decoded, or to `end`.
template <ScanDecoder::DecodeBlock decode_block>
Status ScanDecoder::decode_interval(uint64_t& mcu, uint64_t end) {
    uint32_t row = uint32_t(mcu / scan_.mcus_wide), column = uint32_t(mcu % scan_.mcus_wide);
    for (; mcu < end; mcu++) {
        if (scan_.Ss > 0 && scan_.Ah > 0 && is_lost(scan_.components[0].index, mcu))
            return malformed("scan data", position(), "an earlier scan of MCU {} is damaged", "G.1.1.1.2",
                             int64_t(mcu));
        const Status status = check_progress(decode_mcu<decode_block>(row, column));
        if (!status.ok()) return status;
        if (++column == scan_.mcus_wide) {
            column = 0;
            row++;
        }
    }
    return Status();
}

template <ScanDecoder::DecodeBlock decode_block>
bool ScanDecoder::decode_mcus(uint32_t mcu_rows, uint32_t scan_number, Damages& damages) {
    const uint64_t mcu_end = uint64_t(mcu_rows) * scan_.mcus_wide;
    const uint64_t step = scan_.restart_interval ? scan_.restart_interval : mcu_end;
    uint64_t interval = 0;
    while (true) {
        uint64_t mcu = interval * step;
        const uint64_t end = mcu_end - mcu < step ? mcu_end : mcu + step;
        Status status = decode_interval<decode_block>(mcu, end);
        if (!status.ok()) {
            damages.add(status, scan_number);
            if (!mark_lost(mcu, end)) return false;
        }
        if (end == mcu_end) return true;
        status = next_interval(interval);
        if (!status.ok()) damages.add(status, scan_number);
        const uint64_t next = interval * step < mcu_end ? interval * step : mcu_end;
        if (!mark_lost(end, next)) return false;
        if (next == mcu_end) return true;
    }
}

bool ScanDecoder::decode(uint32_t mcu_rows, uint32_t scan_number, Damages& damages) {
    if (!is_progressive(header_.process))
        return decode_mcus<&ScanDecoder::decode_sequential>(mcu_rows, scan_number, damages);
    if (scan_.Ss == 0)
        return scan_.Ah == 0 ? decode_mcus<&ScanDecoder::decode_dc_first>(mcu_rows, scan_number, damages)
                             : decode_mcus<&ScanDecoder::decode_dc_refinement>(mcu_rows, scan_number, damages);
    return scan_.Ah == 0 ? decode_mcus<&ScanDecoder::decode_ac_first>(mcu_rows, scan_number, damages)
                         : decode_mcus<&ScanDecoder::decode_ac_refinement>(mcu_rows, scan_number, damages);
}

uint64_t visits_of(const Header& header, const Scan& scan) {
    uint64_t blocks = 0;
    for (int i = 0; i < scan.component_count; i++) {
        const Component& component = header.components[scan.components[i].index];
        blocks += scan.component_count == 1
                      ? 1
                      : uint64_t(component.horizontal_sampling_factor) * component.vertical_sampling_factor;
    }
    return blocks * scan.mcus_wide * scan.mcus_high;
}

}  // namespace

Status decode_arithmetic(MarkerReader& reader, const Header& header, const Limits& limits, Output& output,
                         Damages& damages) {
    const bool progressive = is_progressive(header.process);
    const uint64_t size = reader.jpeg().size;
    uint64_t unpaid = unpaid_base + unpaid_per_byte * size;
    uint64_t visits = visits_base + visits_per_byte * size;
    Progression progression;
    DamagedBlocks lost;
    for (uint32_t number = 0;; number++) {
        Scan scan;
        bool found = false;
        Status status = reader.next_scan(header, scan, found);
        if (status.ok() && !found) break;
        if (status.ok() && progressive) status = progression.visit(scan);
        const uint64_t wanted = status.ok() ? visits_of(header, scan) : 0;
        if (status.ok() && (number >= limits.max_scans || wanted > visits))
            status = unsupported("SOS", scan.offset_bytes, "more scans than the limits allow, after {}", "", number);
        if (!status.ok()) {
            damages.add(status, number);
            break;
        }
        visits -= wanted;
        const bool early_stop = output.mcu_rows != 0 && output.mcu_rows < scan.mcus_high && !progressive &&
                                scan.component_count == header.component_count;
        ScanDecoder decoder(reader, header, scan, output, unpaid, lost);
        if (!decoder.decode(early_stop ? output.mcu_rows : scan.mcus_high, number, damages)) return out_of_memory();
        reader.seek(decoder.position());
        if (early_stop) return Status();
    }
    if (progressive && !reader.saw_eoi() && damages.empty() && !progression.complete(header))
        damages.add(truncated("EOI", size, "the data end before the last scan", "B.2.1"), UINT32_MAX);
    add_missing_scan(reader, header, reader.components_seen(), damages);
    return Status();
}

}  // namespace jpegfreq
