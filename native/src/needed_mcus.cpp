#include "needed_mcus.h"

#include <algorithm>

namespace jpegfreq {

NeededMcus::NeededMcus(const SequentialScan& scan)
    : wide(scan.mcus_wide), row_begin(UINT64_MAX), row_end(0), column_begin(UINT64_MAX), column_end(0) {
    for (int i = 0; i < scan.component_count; i++) {
        const auto& part = scan.components[i];
        const BlockRange& blocks = part.needed;
        row_begin = std::min<uint64_t>(row_begin, blocks.row_begin / part.mcu_height);
        row_end = std::max<uint64_t>(row_end, (blocks.row_end + part.mcu_height - 1u) / part.mcu_height);
        column_begin = std::min<uint64_t>(column_begin, blocks.column_begin / part.mcu_width);
        column_end = std::max<uint64_t>(column_end, (blocks.column_end + part.mcu_width - 1u) / part.mcu_width);
    }
    row_end = std::min(row_end, scan.mcu_end / wide);
}

uint64_t NeededMcus::next(uint64_t mcu) const {
    if (mcu / wide < row_begin) mcu = row_begin * wide;
    const uint64_t column = mcu % wide;
    if (column < column_begin) mcu += column_begin - column;
    if (column >= column_end) mcu += wide - column + column_begin;
    return mcu / wide < row_end ? mcu : all_mcus;
}

}  // namespace jpegfreq
