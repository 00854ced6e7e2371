// Where a coefficient is that the process cannot hold. Slow: only once it is known that there is one.
#include "status.h"
#include "write_scans.h"

namespace jpegfreq {

namespace {

Status changed() { return malformed("", 0, "the coefficients changed while they were written", ""); }

}  // namespace

Status find_ac_out_of_range(const WriteTask& task, int index) {
    const Component& component = task.header.components[index];
    const int bits = most_ac_bits(task.header);
    const uint64_t count = uint64_t(component.blocks_high) * component.blocks_wide;
    for (uint64_t n = 0; n < count; n++) {
        for (int k = 1; k < 64; k++) {
            const int32_t value = task.planes[index][64 * n + uint64_t(k)];
            if ((value < 0 ? -value : value) >> bits == 0) continue;
            task.place = {index, uint32_t(n / component.blocks_wide), uint32_t(n % component.blocks_wide), uint8_t(k),
                          value};
            return malformed("", 0, "an AC coefficient of more than {} bits", "F.1.2.2.1", bits);
        }
    }
    return changed();
}

Status find_dc_out_of_range(const WriteTask& task, const Scan& scan) {
    const int bits = most_ac_bits(task.header) + 1;
    const bool alone = scan.component_count == 1;
    int32_t predictions[max_components] = {};
    for (uint64_t mcu = 0; mcu < scan.mcu_count(); mcu++) {
        if (scan.restart_interval && mcu % scan.restart_interval == 0)
            for (int32_t& prediction : predictions) prediction = 0;
        for (int i = 0; i < scan.component_count; i++) {
            const int index = scan.components[i].index;
            const Component& component = task.header.components[index];
            const uint32_t high = alone ? 1 : component.vertical_sampling_factor;
            const uint32_t wide = alone ? 1 : component.horizontal_sampling_factor;
            for (uint32_t n = 0; n < high * wide; n++) {
                const uint32_t row = uint32_t(mcu / scan.mcus_wide) * high + n / wide;
                const uint32_t column = uint32_t(mcu % scan.mcus_wide) * wide + n % wide;
                if (row >= component.blocks_high || column >= component.blocks_wide) continue;
                const int32_t dc = task.planes[index][64 * (uint64_t(row) * component.blocks_wide + column)] >> scan.Al;
                const int32_t difference = dc - predictions[i];
                predictions[i] = dc;
                if ((difference < 0 ? -difference : difference) >> bits == 0) continue;
                task.place = {index, row, column, 0, difference};
                return malformed("", 0, "a DC difference of more than {} bits", "F.1.2.1.1", bits);
            }
        }
    }
    return changed();
}

}  // namespace jpegfreq
