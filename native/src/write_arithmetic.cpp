// Arithmetic-coded scans (T.81 F.1.4, G.1.3), with the default conditioning: L = 0, U = 1, Kx = 5.
#include <cstring>

#include "qm_encoder.h"
#include "standard_tables.h"
#include "status.h"
#include "stuffing.h"
#include "write_scans.h"
#include "written_tables.h"

namespace jpegfreq {

namespace {

// Tables F.4 and F.5, G.2: the contexts of one DC or AC statistics area, by number.
constexpr int dc_contexts = 49, dc_X1 = 20;
constexpr int ac_contexts = 245, ac_X2_low = 189, ac_X2_high = 217;
constexpr int magnitude_bits = 14;  // Mn = Xn + 14
constexpr int Kx = 5;

class ScanEncoder {
public:
    ScanEncoder(const WriteTask& task, const Scan& scan, JpegSink& sink)
        : header_(task.header), planes_(task.planes), scan_(scan), sink_(sink), encoder_(sink) {
        begin_interval();
    }

    void begin_interval() {
        encoder_ = QmEncoder(sink_);
        std::memset(&dc_, 0, sizeof dc_);  // F.1.4.4.1.5: index 0, MPS 0
        std::memset(&ac_, 0, sizeof ac_);
        std::memset(predictions_, 0, sizeof predictions_);
        std::memset(conditioning_, 0, sizeof conditioning_);
    }
    void end_interval() { encoder_.finish(); }
    void code_mcu(uint32_t mcu_row, uint32_t mcu_column);

    // All magnitudes of DC differences and of AC coefficients, ORed. Those that are out of range are coded as zeros.
    uint32_t dc_magnitudes() const { return dc_magnitudes_; }
    uint32_t ac_magnitudes() const { return ac_magnitudes_; }

private:
    void code_block(int i, const int16_t* block);
    void code_dc_first(int i, int32_t dc);
    void code_ac_band(int i, const int16_t* block, int Ss);
    void code_ac_refinement(int i, const int16_t* block);
    void code_magnitude(Context* context, Context* X2, uint32_t size);
    // The magnitude of coefficient k, without the bits that the scan leaves out.
    uint32_t magnitude(const int16_t* block, int k) const {
        const int32_t value = block[natural_order[k]];
        return uint32_t(value < 0 ? -value : value) >> scan_.Al;
    }

    const Header& header_;
    const int16_t* const* planes_;
    const Scan& scan_;
    JpegSink& sink_;
    QmEncoder encoder_;
    Context dc_[4][dc_contexts];
    Context ac_[4][ac_contexts];
    int32_t predictions_[max_components];
    uint8_t conditioning_[max_components];  // F.1.4.4.1.2: 0, 4, 8, 12, 16: the first context of five fours
    int16_t last_dc_[max_components] = {};
    uint32_t dc_magnitudes_ = 0, ac_magnitudes_ = 0;
};

// Figures F.8 and F.9: Sz = size >= 1, from its first decision on, which has the context `context`; the next ones begin at X2.
void ScanEncoder::code_magnitude(Context* context, Context* X2, uint32_t size) {
    uint32_t m = 2;
    while (size >= m) {
        encoder_.code(*context, 1);
        context = m == 2 ? X2 : context + 1;
        m <<= 1;
    }
    encoder_.code(*context, 0);
    context += magnitude_bits;
    for (m >>= 2; m; m >>= 1) encoder_.code(*context, (size & m) != 0);
}

// F.1.4.1
void ScanEncoder::code_dc_first(int i, int32_t dc) {
    Context* const contexts = dc_[scan_.components[i].dc_table];
    int32_t difference = dc - predictions_[i];
    predictions_[i] = dc;
    uint32_t magnitude = uint32_t(difference < 0 ? -difference : difference);
    dc_magnitudes_ |= magnitude;
    if (magnitude >> (most_ac_bits(header_) + 1)) magnitude = 0;
    Context* const S0 = contexts + conditioning_[i];
    encoder_.code(S0[0], magnitude != 0);
    if (magnitude == 0) {
        conditioning_[i] = 0;
        return;
    }
    const int sign = difference < 0;
    encoder_.code(S0[1], sign);
    encoder_.code(S0[2 + sign], magnitude > 1);
    if (magnitude > 1) code_magnitude(contexts + dc_X1, contexts + dc_X1 + 1, magnitude - 1);
    // With L = 0 and U = 1, differences of 1 and 2 are small, and larger ones are large (F.1.4.4.1.2).
    conditioning_[i] = uint8_t((magnitude > 2 ? 12 : 4) + 4 * sign);
}

// F.1.4.2, G.1.3.2
void ScanEncoder::code_ac_band(int i, const int16_t* block, int Ss) {
    Context* const contexts = ac_[scan_.components[i].ac_table];
    int last = scan_.Se;
    while (last >= Ss && magnitude(block, last) == 0) last--;
    for (int k = Ss; k <= scan_.Se; k++) {
        Context* context = contexts + 3 * (k - 1);
        encoder_.code(context[0], k > last);
        if (k > last) return;
        while (magnitude(block, k) == 0) {
            encoder_.code(context[1], 0);
            context += 3;
            k++;
        }
        encoder_.code(context[1], 1);
        encoder_.code_evenly(block[natural_order[k]] < 0);
        uint32_t size = magnitude(block, k);
        ac_magnitudes_ |= size << scan_.Al;
        if (size >> most_ac_bits(header_)) size = 1;
        encoder_.code(context[2], size > 1);
        if (size > 1) code_magnitude(context + 2, contexts + (k <= Kx ? ac_X2_low : ac_X2_high), size - 1);
    }
}

// G.1.3.3
void ScanEncoder::code_ac_refinement(int i, const int16_t* block) {
    Context* const contexts = ac_[scan_.components[i].ac_table];
    int last = scan_.Se;
    while (last >= scan_.Ss && magnitude(block, last) == 0) last--;
    int last_before = last;  // of the scans before
    while (last_before >= scan_.Ss && magnitude(block, last_before) <= 1) last_before--;
    for (int k = scan_.Ss; k <= scan_.Se; k++) {
        Context* context = contexts + 3 * (k - 1);
        if (k > last_before) {
            encoder_.code(context[0], k > last);
            if (k > last) return;
        }
        while (magnitude(block, k) == 0) {
            encoder_.code(context[1], 0);
            context += 3;
            k++;
        }
        const uint32_t value = magnitude(block, k);
        if (value > 1) {
            encoder_.code(context[2], int(value & 1));
        } else {
            encoder_.code(context[1], 1);
            encoder_.code_evenly(block[natural_order[k]] < 0);
        }
    }
}

void ScanEncoder::code_block(int i, const int16_t* block) {
    if (scan_.Ss > 0) {
        if (scan_.Ah == 0) {
            code_ac_band(i, block, scan_.Ss);
        } else {
            code_ac_refinement(i, block);
        }
        return;
    }
    if (scan_.Ah == 0) {
        code_dc_first(i, block[0] >> scan_.Al);
    } else {
        encoder_.code_evenly(block[0] >> scan_.Al & 1);
    }
    if (scan_.Se > 0) code_ac_band(i, block, 1);
}

void ScanEncoder::code_mcu(uint32_t mcu_row, uint32_t mcu_column) {
    const bool alone = scan_.component_count == 1;
    for (int i = 0; i < scan_.component_count; i++) {
        const Component& component = header_.components[scan_.components[i].index];
        const uint32_t high = alone ? 1 : component.vertical_sampling_factor;
        const uint32_t wide = alone ? 1 : component.horizontal_sampling_factor;
        for (uint32_t y = mcu_row * high; y < (mcu_row + 1) * high; y++) {
            for (uint32_t x = mcu_column * wide; x < (mcu_column + 1) * wide; x++) {
                // A padding block (A.2.4) has the DC coefficient of the block before it, as libjpeg writes it. Other blocks
                // are copied, so that a block that someone changes meanwhile has one content for all its decisions.
                int16_t block[64] = {last_dc_[i]};
                if (y < component.blocks_high && x < component.blocks_wide)
                    std::memcpy(block,
                                planes_[scan_.components[i].index] + 64 * (uint64_t(y) * component.blocks_wide + x),
                                sizeof block);
                last_dc_[i] = block[0];
                code_block(i, block);
            }
        }
    }
}

}  // namespace

Status write_arithmetic_scan(const WriteTask& task, const Scan& scan) {
    write_scan_header(task.header, scan, task.sink);
    JpegSink& data = task.arithmetic_data;
    data.clear();
    ScanEncoder encoder(task, scan, data);
    uint64_t mcu = 0;
    for (uint32_t row = 0; row < scan.mcus_high; row++) {
        for (uint32_t column = 0; column < scan.mcus_wide; column++, mcu++) {
            if (scan.restart_interval && mcu && mcu % scan.restart_interval == 0) {
                encoder.end_interval();
                if (!data.ok() || !write_stuffed(data.bytes(), task.sink)) return out_of_memory();
                task.sink.marker(uint8_t(RST0 + (mcu / scan.restart_interval - 1) % 8));
                data.clear();
                encoder.begin_interval();
            }
            encoder.code_mcu(row, column);
        }
    }
    encoder.end_interval();
    if (!data.ok() || !write_stuffed(data.bytes(), task.sink)) return out_of_memory();
    if (encoder.ac_magnitudes() >> most_ac_bits(task.header)) {
        for (int i = 0; i < scan.component_count; i++) {
            const Status status = find_ac_out_of_range(task, scan.components[i].index);
            if (task.place.component >= 0) return status;
        }
    }
    if (encoder.dc_magnitudes() >> (most_ac_bits(task.header) + 1)) return find_dc_out_of_range(task, scan);
    return Status();
}

}  // namespace jpegfreq
