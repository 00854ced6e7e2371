#include "dispatch.h"
#include "status.h"
#include "write_scans.h"

namespace jpegfreq {

namespace {

GatheredScan gathered_scan(const WriteTask& task, const Scan& scan) {
    GatheredScan gathered;
    gathered.component_count = scan.component_count;
    gathered.counts = task.coder.counts();
    for (int i = 0; i < scan.component_count; i++) {
        const ScanComponent& scanned = scan.components[i];
        const Component& component = task.header.components[scanned.index];
        GatheredComponent& to = gathered.components[i];
        to.plane = task.planes[scanned.index];
        to.blocks_high = component.blocks_high;
        to.blocks_wide = component.blocks_wide;
        to.mcu_high = scan.component_count == 1 ? 1 : component.vertical_sampling_factor;
        to.mcu_wide = scan.component_count == 1 ? 1 : component.horizontal_sampling_factor;
        to.dc_first = dc_table_first(scanned.dc_table);
        to.ac_first = ac_table_first(scanned.ac_table);
    }
    return gathered;
}

uint32_t blocks_per_mcu(const GatheredScan& gathered) {
    uint32_t blocks = 0;
    for (int i = 0; i < gathered.component_count; i++)
        blocks += gathered.components[i].mcu_high * gathered.components[i].mcu_wide;
    return blocks;
}

}  // namespace

Status write_sequential_scan(const WriteTask& task, const Scan& scan) {
    task.coder.begin();
    GatheredScan gathered = gathered_scan(task, scan);
    const uint64_t mcu_symbols = uint64_t(blocks_per_mcu(gathered)) * block_symbols;
    const uint32_t interval = scan.restart_interval ? scan.restart_interval : UINT32_MAX;
    uint32_t left = interval;  // MCUs up to the next restart marker
    for (uint32_t row = 0; row < scan.mcus_high; row++) {
        for (uint32_t column = 0; column < scan.mcus_wide;) {
            if (left == 0) {
                if (!task.coder.end_interval()) return out_of_memory();
                for (GatheredComponent& component : gathered.components) component.dc_prediction = 0;
                left = interval;
            }
            const uint32_t count = scan.mcus_wide - column < left ? scan.mcus_wide - column : left;
            Symbol* const next = task.coder.room(count * mcu_symbols);
            if (!next) return out_of_memory();
            task.coder.advance(kernels().write->gather_mcus(gathered, row, column, column + count, next));
            column += count;
            if (scan.restart_interval) left -= count;
        }
    }
    const int ac_bits = most_ac_bits(task.header);
    for (int i = 0; i < scan.component_count; i++)
        if (gathered.components[i].ac_magnitudes >> ac_bits)
            return find_ac_out_of_range(task, scan.components[i].index);
    for (int i = 0; i < scan.component_count; i++)
        if (gathered.components[i].dc_magnitudes >> (ac_bits + 1)) return find_dc_out_of_range(task, scan);
    return task.coder.write(task.header, scan, task.optimize, task.sink);
}

}  // namespace jpegfreq
