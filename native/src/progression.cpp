#include "progression.h"

#include <cstring>

namespace jpegfreq {

namespace {

Status malformed(const Scan& scan, const char* message, const char* clause, int64_t detail) {
    return {Code::malformed, "SOS", message, clause, scan.offset_bytes, detail};
}

}  // namespace

Progression::Progression() { std::memset(Al_, -1, sizeof Al_); }

// G.1.1.1, G.1.1.2, B.2.3.
Status Progression::visit(const Scan& scan) {
    if (scan.Ss > scan.Se || scan.Se > 63) return malformed(scan, "the spectral band ends at {}", "G.1.1.1.1", scan.Se);
    if (scan.Ss == 0 && scan.Se != 0)
        return malformed(scan, "a scan of DC and AC coefficients (Se is {})", "G.1.1.1.1", scan.Se);
    if (scan.Ss != 0 && scan.component_count != 1)
        return malformed(scan, "an AC scan of {} components", "G.1.1.1.1", scan.component_count);
    if (scan.Al > 13) return malformed(scan, "Al is {}", "B.2.3", scan.Al);
    if (scan.Ah != 0 && scan.Ah != scan.Al + 1)
        return malformed(scan, "a refinement by more than a bit, from {}", "G.1.1.1.2", scan.Ah);
    for (int i = 0; i < scan.component_count; i++) {
        int8_t* const state = Al_[scan.components[i].index];
        if (scan.Ss != 0 && state[0] < 0)
            return malformed(scan, "an AC scan before the component's DC scan", "G.1.1.1.1", 0);
        for (int k = scan.Ss; k <= scan.Se; k++) {
            const int expected = state[k] < 0 ? 0 : state[k];
            if (scan.Ah != expected || state[k] == 0)
                return malformed(scan, "coefficient {} is not sent in the order of its bits", "G.1.1.1.2", k);
            state[k] = int8_t(scan.Al);
        }
    }
    return Status();
}

bool Progression::complete(const Header& header) const {
    for (int c = 0; c < header.component_count; c++)
        for (int k = 0; k < 64; k++)
            if (Al_[c][k] != 0) return false;
    return true;
}

}  // namespace jpegfreq
