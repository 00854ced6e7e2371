// What the scans of a progressive frame have told of each coefficient so far (T.81 G.1.1.1), whatever its entropy coding.
#pragma once

#include "markers.h"

namespace jpegfreq {

class Progression {
public:
    Progression();

    // Checks a scan's parameters and moves on: each coefficient a first scan with Ah = 0, then one bit lower a scan, and DC
    // before AC. So at most 14 scans name a coefficient.
    Status visit(const Scan& scan);

    // Every bit of every coefficient has come.
    bool complete(const Header& header) const;

private:
    int8_t Al_[max_components][64];  // the bit by which the next scan must start; -1: not visited
};

}  // namespace jpegfreq
