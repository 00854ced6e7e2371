// The MCUs of a sequential scan that hold blocks somebody reads.
#pragma once

#include "sequential.h"

namespace jpegfreq {

// Those of the rows [row_begin, row_end) and columns [column_begin, column_end).
struct NeededMcus {
    uint64_t wide = 1;
    uint64_t row_begin = 0, row_end = 0, column_begin = 0, column_end = 0;

    NeededMcus() = default;
    explicit NeededMcus(const SequentialScan& scan);

    // The first needed MCU from `mcu` on; all_mcus: none is left.
    uint64_t next(uint64_t mcu) const;

    // As many MCUs from (row, column) on as are all needed, or all not needed.
    struct Run {
        uint64_t count;
        bool needed;
    };
    Run run(uint64_t row, uint64_t column) const {
        if (row < row_begin) return {(row_begin - row) * wide - column + column_begin, false};
        if (row >= row_end) return {all_mcus, false};
        if (column < column_begin) return {column_begin - column, false};
        if (column >= column_end) return {wide - column + column_begin, false};
        if (column_end - column_begin == wide) return {(row_end - row) * wide - column, true};
        return {column_end - column, true};
    }
};

}  // namespace jpegfreq
