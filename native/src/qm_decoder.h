// The binary arithmetic decoder of T.81 Annex D.2, over one entropy-coded segment (one restart interval).
#pragma once

#include <cstdint>

namespace jpegfreq {

// One context: 2 * index into table D.3 + the sense of the more probable symbol. Sixteen bits wide, though eight would do:
// stores through uint8_t* may alias anything, and would force the decoder's registers back to memory at every decision.
using Context = uint16_t;

struct QmState {
    uint16_t Qe;
    Context after_mps;
    Context after_lps;
};

struct QmStates {
    QmState of[2 * 113];
};
extern const QmStates qm_states;

// Note [Zeros after the data]
// An encoder drops the zero bytes at the end of its code string (T.81 D.1.8), so a decoder that meets a marker continues
// with zeros (D.2.6). No number of them is too large to be legal; exhausted() tells that decisions rest on them.
class QmDecoder {
public:
    enum class Source : uint8_t { data, marker, end_of_file };

    QmDecoder() = default;
    // D.2.7 Initdec, at the first byte of the segment.
    QmDecoder(const uint8_t* next, const uint8_t* end) : next_(next), end_(end) { refill(); }

    // D.2.4: one decision in an adaptive context.
    int decide(Context& context) {
        const QmState state = qm_states.of[context];
        int symbol = context & 1;
        range_ -= state.Qe;
        const uint64_t split = uint64_t(range_) << low_bits_;
        if (code_ < split) {
            if (range_ >= 0x8000) return symbol;
            if (range_ < state.Qe) {  // the sub-intervals changed places (D.2.4, figure D.16)
                symbol ^= 1;
                context = state.after_lps;
            } else {
                context = state.after_mps;
            }
        } else {
            code_ -= split;
            if (range_ < state.Qe) {  // figure D.17
                context = state.after_mps;
            } else {
                symbol ^= 1;
                context = state.after_lps;
            }
            range_ = state.Qe;
        }
        renormalize();
        return symbol;
    }

    // A decision in the fixed context of probability one half: Qe = 0x5A1D, MPS = 0, no adaptation. For the signs of AC
    // coefficients (F.1.4.4.2.3) and DC refinements (G.1.3.1).
    int decide_evenly() {
        constexpr uint32_t Qe = 0x5A1D;
        int symbol = 0;
        range_ -= Qe;
        const uint64_t split = uint64_t(range_) << low_bits_;
        if (code_ < split) {
            if (range_ >= 0x8000) return 0;
            symbol = range_ < Qe;
        } else {
            code_ -= split;
            symbol = range_ >= Qe;
            range_ = Qe;
        }
        renormalize();
        return symbol;
    }

    // Decisions already rest on zero bits that are not in the file. See Note [Zeros after the data].
    bool exhausted() const { return zero_bits_ > low_bits_; }
    Source source() const { return source_; }

    // Where reading stopped: at a marker's first byte, at the end of the file, or up to six bytes ahead of the decisions.
    const uint8_t* next() const { return next_; }

private:
    // D.2.5. range_ is at least 1, so that at most 15 bits are asked for; refill() leaves at least 41.
    void renormalize() {
        const int shift = __builtin_clz(range_) - 16;
        if (low_bits_ < uint32_t(shift)) refill();
        range_ <<= shift;
        low_bits_ -= uint32_t(shift);
    }

    void refill();

    const uint8_t* next_ = nullptr;
    const uint8_t* end_ = nullptr;
    // The code register: its upper part, code_ >> low_bits_, is T.81's Chigh; the bits below it are read ahead.
    // code_ < range_ << low_bits_ always (D.2.1), hence under 2^(17 + 48).
    uint64_t code_ = 0;
    uint64_t zero_bits_ = 0;  // supplied after the data
    uint32_t low_bits_ = uint32_t(-16);
    uint32_t range_ = 0x10000;
    Source source_ = Source::data;
};

}  // namespace jpegfreq
