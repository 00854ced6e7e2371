#include "damaged_blocks.h"

#include <cstring>

namespace jpegfreq {

void DamagedBlocks::clear() {
    for (auto& lost : lost_) lost.trim(0);
}

bool DamagedBlocks::mark_blocks(const Header& header, int index, uint64_t begin, uint64_t end, uint64_t band) {
    if (begin >= end) return true;
    Buffer<uint64_t>& lost = lost_[index];
    if (!lost.data()) {
        const Component& component = header.components[index];
        const size_t count = size_t(component.blocks_high) * component.blocks_wide;
        if (!lost.reserve(count)) return false;
        std::memset(lost.data(), 0, count * sizeof(uint64_t));
    }
    for (uint64_t block = begin; block < end; block++) lost[block] |= band;
    return true;
}

bool DamagedBlocks::mark(const Header& header, const Scan& scan, uint64_t begin, uint64_t end) {
    const uint64_t band = band_bits(scan.Ss, scan.Se);
    if (scan.component_count == 1) return mark_blocks(header, scan.components[0].index, begin, end, band);
    for (uint64_t mcu = begin; mcu < end; mcu++) {
        for (int i = 0; i < scan.component_count; i++) {
            const Component& component = header.components[scan.components[i].index];
            const uint64_t high = component.vertical_sampling_factor, wide = component.horizontal_sampling_factor;
            const uint64_t first = mcu % scan.mcus_wide * wide;
            const uint64_t last = first + wide < component.blocks_wide ? first + wide : component.blocks_wide;
            for (uint64_t y = 0, row = mcu / scan.mcus_wide * high; y < high && row < component.blocks_high;
                 y++, row++) {
                const uint64_t start = row * component.blocks_wide;
                if (!mark_blocks(header, scan.components[i].index, start + first, start + last, band)) return false;
            }
        }
    }
    return true;
}

}  // namespace jpegfreq
