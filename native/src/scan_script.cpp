#include "scan_script.h"

#include "progression.h"
#include "status.h"

namespace jpegfreq {

namespace {

uint32_t ceil_divide(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

WrittenScan scan_of(int component, int Ss, int Se, int Ah, int Al) {
    WrittenScan scan;
    scan.component_count = 1;
    scan.components[0] = uint8_t(component);
    scan.Ss = uint8_t(Ss);
    scan.Se = uint8_t(Se);
    scan.Ah = uint8_t(Ah);
    scan.Al = uint8_t(Al);
    return scan;
}

// The scans before they are checked.
struct Draft {
    WrittenScan scans[3 * max_components + 4 * max_components];
    int count = 0;

    void add(const WrittenScan& scan) { scans[count++] = scan; }

    // All components in one scan, or each in its own where their MCU would be too large.
    void add_together(const Header& header, int Se, int Ah, int Al) {
        WrittenScan all = scan_of(0, 0, Se, Ah, Al);
        int blocks = 0;
        for (int c = 0; c < header.component_count; c++) {
            all.components[c] = uint8_t(c);
            blocks += header.components[c].horizontal_sampling_factor * header.components[c].vertical_sampling_factor;
        }
        all.component_count = header.component_count;
        if (header.component_count == 1 || blocks <= blocks_per_mcu_limit) {
            add(all);
            return;
        }
        for (int c = 0; c < header.component_count; c++) add(scan_of(c, 0, Se, Ah, Al));
    }

    void add_each(const Header& header, int Ss, int Se, int Ah, int Al) {
        for (int c = 0; c < header.component_count; c++) add(scan_of(c, Ss, Se, Ah, Al));
    }
};

// What jpeg_simple_progression makes: a blurred image early, colour with few bits, fine detail of the luma last.
void draft_progressive(const Header& header, Draft& draft) {
    draft.add_together(header, 0, 0, 1);
    if (header.color == ColorKind::ycbcr) {
        draft.add(scan_of(0, 1, 5, 0, 2));
        draft.add(scan_of(2, 1, 63, 0, 1));
        draft.add(scan_of(1, 1, 63, 0, 1));
        draft.add(scan_of(0, 6, 63, 0, 2));
        draft.add(scan_of(0, 1, 63, 2, 1));
        draft.add_together(header, 0, 1, 0);
        draft.add(scan_of(2, 1, 63, 1, 0));
        draft.add(scan_of(1, 1, 63, 1, 0));
        draft.add(scan_of(0, 1, 63, 1, 0));
        return;
    }
    draft.add_each(header, 1, 5, 0, 2);
    draft.add_each(header, 6, 63, 0, 2);
    draft.add_each(header, 1, 63, 2, 1);
    draft.add_together(header, 0, 1, 0);
    draft.add_each(header, 1, 63, 1, 0);
}

// Chroma has tables of its own.
uint8_t table_of(const Header& header, int component) {
    const bool has_chroma = header.color == ColorKind::ycbcr || header.color == ColorKind::ycck;
    return has_chroma && (component == 1 || component == 2);
}

bool repeats_identifiers(const Header& header) {
    for (int c = 0; c < header.component_count; c++)
        for (int other = 0; other < c; other++)
            if (header.components[c].identifier == header.components[other].identifier) return true;
    return false;
}

// B.2.3, and the size in MCUs (A.2).
Status set_components(const Header& header, const WrittenScan& written, Scan& scan) {
    const int count = written.component_count;
    if (count < 1 || count > header.component_count)
        return malformed("SOS", 0, "a scan of {} components", "B.2.3", count);
    // Readers find a component by its identifier.
    if (count < header.component_count && repeats_identifiers(header))
        return unsupported("SOS", 0, "components with one identifier cannot be in different scans", "B.2.2");
    scan.component_count = uint8_t(count);
    int blocks = 0;
    for (int i = 0; i < count; i++) {
        const int index = written.components[i];
        if (index >= header.component_count)
            return malformed("SOS", 0, "the frame has no component {}, counted from 0", "B.2.3", index);
        if (i > 0 && index <= written.components[i - 1])
            return malformed("SOS", 0, "component {} is not in the order of the frame", "B.2.3", index);
        scan.components[i].index = uint8_t(index);
        scan.components[i].dc_table = scan.components[i].ac_table = table_of(header, index);
        blocks +=
            header.components[index].horizontal_sampling_factor * header.components[index].vertical_sampling_factor;
    }
    if (count > 1 && blocks > blocks_per_mcu_limit)
        return malformed("SOS", 0, "{} blocks an MCU (10 are allowed)", "B.2.3", blocks);
    if (count == 1) {
        scan.mcus_wide = header.components[scan.components[0].index].blocks_wide;
        scan.mcus_high = header.components[scan.components[0].index].blocks_high;
    } else {
        scan.mcus_wide = ceil_divide(header.width, 8u * header.max_horizontal_sampling_factor);
        scan.mcus_high = ceil_divide(header.height, 8u * header.max_vertical_sampling_factor);
    }
    return Status();
}

Status set_restarts(const Header& header, const WriteOptions& options, Scan& scan) {
    const uint64_t interval =
        options.restart_rows < 0 ? header.restart_interval : uint64_t(options.restart_rows) * scan.mcus_wide;
    if (options.restart_rows > 65535 || interval > 65535)
        return malformed("DRI", 0, "more than 65535 MCUs in a restart interval", "B.2.4.4");
    scan.restart_interval = uint32_t(interval);
    return Status();
}

}  // namespace

Status make_script(const Header& header, const WriteOptions& options, ScanScript& script) {
    Draft draft;
    Span<const WrittenScan> scans = options.scans;
    if (scans.size == 0) {
        if (is_progressive(header.process)) {
            draft_progressive(header, draft);
        } else {
            draft.add_together(header, 63, 0, 0);
        }
        scans = {draft.scans, size_t(draft.count)};
    }
    if (scans.size > most_written_scans) return unsupported("SOS", 0, "more than {} scans", "", most_written_scans);
    Progression progression;
    uint32_t seen = 0;
    script.count = int(scans.size);
    for (int n = 0; n < script.count; n++) {
        const WrittenScan& written = scans.data[n];
        Scan& scan = script.scans[n];
        scan = Scan();
        scan.Ss = written.Ss;
        scan.Se = written.Se;
        scan.Ah = written.Ah;
        scan.Al = written.Al;
        Status status = set_components(header, written, scan);
        if (status.ok()) status = set_restarts(header, options, scan);
        if (status.ok() && is_progressive(header.process)) status = progression.visit(scan);
        if (!status.ok()) return status;
        if (is_progressive(header.process)) continue;
        if (scan.Ss != 0 || scan.Se != 63 || scan.Ah != 0 || scan.Al != 0)
            return malformed("SOS", 0, "a scan of a sequential process with a part of the coefficients", "B.2.3");
        for (int i = 0; i < scan.component_count; i++) {
            const uint32_t bit = 1u << scan.components[i].index;
            if (seen & bit)
                return malformed("SOS", 0, "component {}, counted from 0, has two scans", "B.2.3",
                                 scan.components[i].index);
            seen |= bit;
        }
    }
    const bool complete =
        is_progressive(header.process) ? progression.complete(header) : seen == (1u << header.component_count) - 1;
    if (!complete) return malformed("SOS", 0, "the scans leave out coefficients, or some of their bits", "G.1.1.1");
    return Status();
}

}  // namespace jpegfreq
