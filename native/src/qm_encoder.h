// The binary arithmetic encoder of T.81 Annex D.1, for one entropy-coded segment (one restart interval).
#pragma once

#include "jpeg_sink.h"
#include "qm_decoder.h"

namespace jpegfreq {

// Note [Carries]
// The code string is one long number, to which decisions add ever lower bits. A carry can run up through bytes that are done;
// since they are in memory and not yet stuffed, it simply does, and nothing has to be held back as in D.1.6.
class QmEncoder {
public:
    // Bytes are written after those that `sink` holds, without stuffing.
    explicit QmEncoder(JpegSink& sink) : sink_(&sink), begin_(sink.size()) {}

    // D.1.4, figures D.1 to D.4: one decision in an adaptive context.
    void code(Context& context, int symbol) {
        const QmState state = qm_states.of[context];
        const bool is_likely = symbol == (context & 1);
        range_ -= state.Qe;
        if (is_likely && range_ >= 0x8000) return;
        // The less probable symbol has the upper sub-interval, unless they changed places (D.1.4).
        if (is_likely == (range_ < state.Qe)) {
            low_ += range_;
            range_ = state.Qe;
        }
        context = is_likely ? state.after_mps : state.after_lps;
        renormalize();
    }

    // A decision in the fixed context of probability one half (F.1.4.4.2.3, G.1.3.1).
    void code_evenly(int symbol) {
        Context context = 0;
        code(context, symbol);
    }

    // D.1.8: ends with the number of the interval that has the most zeros at its end; whole zero bytes are left out.
    void finish() {
        const uint64_t top = low_ + range_ - 1;
        int zeros = 16;
        while ((top >> zeros << zeros) < low_) zeros--;
        low_ = top >> zeros << zeros;
        const uint32_t shift = 16 + (8 - done_bits_) % 8;  // the interval's bits too, up to a whole byte
        low_ <<= shift;
        done_bits_ += shift;
        write_bytes();
        while (sink_->ok() && sink_->size() > begin_ && sink_->data()[sink_->size() - 1] == 0) sink_->shorten(1);
    }

private:
    // D.1.5. The sub-intervals that lead here are below 0x8000.
    void renormalize() {
        const uint32_t shift = uint32_t(__builtin_clz(range_)) - 16;
        range_ <<= shift;
        low_ <<= shift;
        done_bits_ += shift;
        write_bytes();
    }

    // low_ holds 16 bits that belong to the interval, done_bits_ above them, and perhaps a carry above those.
    void write_bytes() {
        while (done_bits_ >= 8) {
            done_bits_ -= 8;
            const uint64_t byte = low_ >> (16 + done_bits_);
            low_ &= (uint64_t(1) << (16 + done_bits_)) - 1;
            if (byte > 0xFF && sink_->ok()) {
                size_t at = sink_->size();
                while (++sink_->data()[--at] == 0) {}
            }
            sink_->put(uint8_t(byte));
        }
    }

    JpegSink* sink_;
    size_t begin_;
    uint64_t low_ = 0;
    uint32_t range_ = 0x10000;
    uint32_t done_bits_ = 0;
};

}  // namespace jpegfreq
