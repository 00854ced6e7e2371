// Progressive files (T.81 G.1). Every component is turned into bit maps once; then each scan goes over the maps.
#include "dispatch.h"
#include "status.h"
#include "write_scans.h"

namespace jpegfreq {

namespace {

uint64_t block_count(const Component& component) { return uint64_t(component.blocks_high) * component.blocks_wide; }

}  // namespace

void ProgressiveMaps::trim() {
    for (MappedComponent& component : components) {
        component.dc.trim(kept_bytes);
        component.maps.trim(kept_bytes);
    }
}

Status map_components(const WriteTask& task, const ScanScript& script, ProgressiveMaps& maps) {
    for (int c = 0; c < task.header.component_count; c++) {
        MappedComponent& mapped = maps.components[c];
        mapped.top = 0;
        for (int n = 0; n < script.count; n++) {
            const Scan& scan = script.scans[n];
            if (scan.Ss > 0 && scan.components[0].index == c && scan.Al > mapped.top) mapped.top = scan.Al;
        }
        const uint64_t count = block_count(task.header.components[c]);
        const uint64_t words = count * uint64_t(map_count(mapped.top));
        if (words > SIZE_MAX / 16 || !mapped.maps.reserve(size_t(words)) || !mapped.dc.reserve(size_t(count)))
            return out_of_memory();
        const uint32_t magnitudes =
            kernels().write->map_blocks(task.planes[c], count, mapped.top, mapped.dc.data(), mapped.maps.data());
        if (magnitudes >> most_ac_bits(task.header)) return find_ac_out_of_range(task, c);
    }
    return Status();
}

namespace {

// Calls code(component of the scan, DC coefficient) for the blocks of each MCU, and end_interval() where a restart marker
// follows. A padding block (A.2.4) has the coefficient of the block before it.
template <class Code, class EndInterval>
Status for_each_dc(const WriteTask& task, const Scan& scan, const ProgressiveMaps& maps, uint32_t symbols_per_block,
                   Code code, EndInterval end_interval) {
    struct Place {
        const int16_t* dc;
        uint32_t blocks_high, blocks_wide, high, wide;
        int16_t last;
    } places[max_components] = {};
    uint64_t mcu_blocks = 0;
    for (int i = 0; i < scan.component_count; i++) {
        const Component& component = task.header.components[scan.components[i].index];
        const bool alone = scan.component_count == 1;
        places[i] = {maps.components[scan.components[i].index].dc.data(),
                     component.blocks_high,
                     component.blocks_wide,
                     alone ? 1u : component.vertical_sampling_factor,
                     alone ? 1u : component.horizontal_sampling_factor,
                     0};
        mcu_blocks += places[i].high * places[i].wide;
    }
    uint64_t mcu = 0;
    for (uint32_t row = 0; row < scan.mcus_high; row++) {
        // An end of interval may write a few symbols before its MCU.
        Symbol* next = task.coder.room(scan.mcus_wide * (mcu_blocks * symbols_per_block + 2) + 2);
        if (!next) return out_of_memory();
        for (uint32_t column = 0; column < scan.mcus_wide; column++, mcu++) {
            if (scan.restart_interval && mcu && mcu % scan.restart_interval == 0) {
                next = end_interval(next);
                task.coder.advance(next);
                if (!task.coder.end_interval()) return out_of_memory();
            }
            for (int i = 0; i < scan.component_count; i++) {
                Place& place = places[i];
                for (uint32_t y = row * place.high; y < (row + 1) * place.high; y++) {
                    const int16_t* const line = place.dc + uint64_t(y) * place.blocks_wide;
                    for (uint32_t x = column * place.wide; x < (column + 1) * place.wide; x++) {
                        if (y < place.blocks_high && x < place.blocks_wide) place.last = line[x];
                        next = code(i, place.last, next);
                    }
                }
            }
        }
        task.coder.advance(next);
    }
    Symbol* const next = task.coder.room(2);
    if (!next) return out_of_memory();
    task.coder.advance(end_interval(next));
    return Status();
}

// G.1.2.1
Status gather_dc_first(const WriteTask& task, const Scan& scan, const ProgressiveMaps& maps) {
    int32_t predictions[max_components] = {};
    uint32_t magnitudes = 0;
    uint32_t* const counts = task.coder.counts();
    const Status status = for_each_dc(
        task, scan, maps, 1,
        [&](int i, int16_t dc, Symbol* next) {
            const Magnitude difference = magnitude_of((dc >> scan.Al) - predictions[i]);
            predictions[i] = dc >> scan.Al;
            magnitudes |= difference.magnitude;
            add_symbol(counts, next, dc_table_first(scan.components[i].dc_table) + difference.size, difference.bits);
            return next;
        },
        [&](Symbol* next) {
            for (int32_t& prediction : predictions) prediction = 0;
            return next;
        });
    if (status.ok() && magnitudes >> (most_ac_bits(task.header) + 1)) return find_dc_out_of_range(task, scan);
    return status;
}

Status gather_dc_refinement(const WriteTask& task, const Scan& scan, const ProgressiveMaps& maps) {
    uint32_t* const counts = task.coder.counts();
    uint32_t bits = 0, count = 0;
    const auto flush = [&](Symbol* next) {
        if (count) add_symbol(counts, next, raw_first + count, bits);
        bits = count = 0;
        return next;
    };
    return for_each_dc(
        task, scan, maps, 1,
        [&](int, int16_t dc, Symbol* next) {
            bits = bits << 1 | (uint32_t(dc) >> scan.Al & 1);
            return ++count == 16 ? flush(next) : next;
        },
        flush);
}

Status gather_ac(const WriteTask& task, const Scan& scan, const ProgressiveMaps& maps) {
    const int index = scan.components[0].index;
    const MappedComponent& mapped = maps.components[index];
    const WriteKernels& kernel = *kernels().write;
    GatheredBand band;
    band.blocks = task.planes[index];
    band.maps = mapped.maps.data();
    band.top = mapped.top;
    band.Ss = scan.Ss;
    band.Se = scan.Se;
    band.Al = scan.Al;
    band.first = ac_table_first(scan.components[0].ac_table);
    band.counts = task.coder.counts();
    const GatherBand gather = scan.Ah == 0 ? kernel.gather_first : kernel.gather_refinement;
    const uint64_t blocks = block_count(task.header.components[index]);
    const uint64_t interval = scan.restart_interval ? scan.restart_interval : blocks;
    // So many blocks at a time, so that room for the worst case stays small.
    constexpr uint64_t step = 1024;
    for (uint64_t begin = 0; begin < blocks;) {
        const uint64_t interval_end = begin + interval < blocks ? begin + interval : blocks;
        while (begin < interval_end) {
            const uint64_t end = begin + step < interval_end ? begin + step : interval_end;
            const ptrdiff_t place = band.run_place ? band.run_place - task.coder.begin_symbols() : 0;
            Symbol* next = task.coder.room((end - begin) * band_symbols + 2);
            if (!next) return out_of_memory();
            if (band.run_place) band.run_place = task.coder.begin_symbols() + place;
            next = gather(band, begin, end, next);
            if (end == interval_end) next = kernel.end_band(band, next);
            task.coder.advance(next);
            begin = end;
        }
        if (begin < blocks && !task.coder.end_interval()) return out_of_memory();
    }
    return Status();
}

}  // namespace

Status write_progressive_scan(const WriteTask& task, const Scan& scan, const ProgressiveMaps& maps) {
    task.coder.begin();
    const Status status = scan.Ss > 0    ? gather_ac(task, scan, maps)
                          : scan.Ah == 0 ? gather_dc_first(task, scan, maps)
                                         : gather_dc_refinement(task, scan, maps);
    return status.ok() ? task.coder.write(task.header, scan, true, task.sink) : status;
}

}  // namespace jpegfreq
