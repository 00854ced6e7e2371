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

// Looks for the first coefficient that is out of range, as gathering met them: AC coefficients, and DC differences between
// neighbours in the order of the MCUs.
Status find_out_of_range(const WriteTask& task, const Scan& scan) {
    const int ac_bits = most_ac_bits(task.header);
    int32_t prediction[max_components] = {};
    uint64_t mcu = 0;
    const GatheredScan layout = gathered_scan(task, scan);
    for (uint32_t row = 0; row < scan.mcus_high; row++) {
        for (uint32_t column = 0; column < scan.mcus_wide; column++, mcu++) {
            if (scan.restart_interval && mcu % scan.restart_interval == 0)
                for (int32_t& value : prediction) value = 0;
            for (int i = 0; i < layout.component_count; i++) {
                const GatheredComponent& component = layout.components[i];
                for (uint32_t n = 0; n < component.mcu_high * component.mcu_wide; n++) {
                    const uint32_t block_row = row * component.mcu_high + n / component.mcu_wide;
                    const uint32_t block_column = column * component.mcu_wide + n % component.mcu_wide;
                    if (block_row >= component.blocks_high || block_column >= component.blocks_wide) continue;
                    const int16_t* block =
                        component.plane + 64 * (uint64_t(block_row) * component.blocks_wide + block_column);
                    for (int k = 0; k < 64; k++) {
                        const int32_t value = k == 0 ? block[0] - prediction[i] : block[k];
                        const int bits = k == 0 ? ac_bits + 1 : ac_bits;
                        if ((value < 0 ? -value : value) >> bits == 0) continue;
                        task.place = {scan.components[i].index, block_row, block_column, uint8_t(k), value};
                        return k == 0 ? malformed("", 0, "a DC difference of more than {} bits", "F.1.2.1.1", bits)
                                      : malformed("", 0, "an AC coefficient of more than {} bits", "F.1.2.2.1", bits);
                    }
                    prediction[i] = block[0];
                }
            }
        }
    }
    return malformed("", 0, "the coefficients changed while they were written", "");
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
    if (gathered.ac_magnitudes >> ac_bits || gathered.dc_magnitudes >> (ac_bits + 1))
        return find_out_of_range(task, scan);
    return task.coder.write(task.header, scan, task.optimize, task.sink);
}

}  // namespace jpegfreq
