// Which coefficients of a progressive image are lost. A later scan that refines them has nothing to build on.
#pragma once

#include "buffer.h"
#include "markers.h"

namespace jpegfreq {

class DamagedBlocks {
public:
    // Forgets everything and frees the memory: most images need none.
    void clear();

    // MCUs [begin, end) of the scan, in the scan's spectral band. False: out of memory.
    bool mark(const Header& header, const Scan& scan, uint64_t begin, uint64_t end);
    // Blocks [begin, end) of a component, the coefficients whose bits are set in `band` (zigzag order).
    bool mark_blocks(const Header& header, int component, uint64_t begin, uint64_t end, uint64_t band);

    // One bit per coefficient for each block; null if none of the component is damaged.
    const uint64_t* of(int component) const { return lost_[component].data(); }

private:
    Buffer<uint64_t> lost_[max_components];
};

inline uint64_t band_bits(int Ss, int Se) { return (~uint64_t(0) >> (63 - Se)) & (~uint64_t(0) << Ss); }

}  // namespace jpegfreq
