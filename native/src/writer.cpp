// One file: checks what it was given, then writes segment after segment.
#include "jpegfreq_write.h"

#include <new>

#include "standard_tables.h"
#include "status.h"
#include "write_scans.h"
#include "written_segments.h"
#include "written_tables.h"

namespace jpegfreq {

struct Writer::Scratch {
    JpegSink sink;
    ScanCoder coder;
    JpegSink arithmetic_data;
    ScanScript script;
    ProgressiveMaps maps;
    CoefficientPlace place;
};

namespace {

constexpr uint64_t most_blocks = uint64_t(1) << 26;  // so that 32 bits count the symbols of a scan

uint32_t ceil_divide(uint32_t a, uint32_t b) { return (a + b - 1) / b; }

// The caller may have built the header: nothing in it is trusted.
Status check_header(const Header& header) {
    if (!is_huffman_sequential(header.process) && header.process != Process::progressive &&
        !is_arithmetic(header.process))
        return unsupported("SOF", 0, "this process cannot be written", "");
    if (header.precision != 8 && header.precision != 12)
        return unsupported("SOF", 0, "a sample precision of {} bits", "B.2.2", header.precision);
    if (header.process == Process::baseline && header.precision != 8)
        return malformed("SOF", 0, "baseline files have 8 bits per sample, not {}", "B.2.2", header.precision);
    if (header.height < 1 || header.height > 65535)
        return malformed("SOF", 0, "a height of {} (1 to 65535 pixels)", "B.2.2", header.height);
    if (header.width < 1 || header.width > 65535)
        return malformed("SOF", 0, "a width of {} (1 to 65535 pixels)", "B.2.2", header.width);
    if (header.component_count < 1 || header.component_count > max_components)
        return unsupported("SOF", 0, "{} components (1 to 4 are written)", "B.2.2", header.component_count);
    if (header.orientation < 1 || header.orientation > 8)
        return malformed("APP1", 0, "an orientation of {} (1 to 8 exist)", "", header.orientation);
    return Status();
}

// Whether a baseline file can have the precision and the tables (B.2.2, B.2.4.1).
bool fits_baseline(const Header& header, const uint16_t (*tables)[64]) {
    for (int c = 0; c < header.component_count; c++)
        for (int i = 0; i < 64; i++)
            if (tables[c][i] > 255) return false;
    return header.precision == 8;
}

// Fills what follows from the factors, and compares it with what the header says.
Status check_components(Header& header, const int16_t* const planes[]) {
    header.max_horizontal_sampling_factor = header.max_vertical_sampling_factor = 1;
    for (int c = 0; c < header.component_count; c++) {
        const Component& component = header.components[c];
        const int h = component.horizontal_sampling_factor, v = component.vertical_sampling_factor;
        if (h < 1 || h > 4 || v < 1 || v > 4)
            return malformed("SOF", 0, "sampling factors of component {}, counted from 0, beyond 1 to 4", "B.2.2", c);
        if (h > header.max_horizontal_sampling_factor) header.max_horizontal_sampling_factor = uint8_t(h);
        if (v > header.max_vertical_sampling_factor) header.max_vertical_sampling_factor = uint8_t(v);
    }
    uint64_t blocks = 0;
    for (int c = 0; c < header.component_count; c++) {
        const Component& component = header.components[c];
        const uint32_t wide = ceil_divide(header.width * component.horizontal_sampling_factor,
                                          8u * header.max_horizontal_sampling_factor);
        const uint32_t high =
            ceil_divide(header.height * component.vertical_sampling_factor, 8u * header.max_vertical_sampling_factor);
        if (component.blocks_wide != wide || component.blocks_high != high)
            return malformed("SOF", 0, "component {}, counted from 0, has not the blocks that its size needs", "A.1.1",
                             c);
        if (!planes[c]) return malformed("SOF", 0, "component {}, counted from 0, has no plane", "", c);
        blocks += uint64_t(wide) * high;
    }
    if (blocks > most_blocks) return unsupported("SOF", 0, "more than {} blocks", "", int64_t(most_blocks));
    return Status();
}

Status check_tables(const Header& header, const uint16_t (*tables)[64], bool optimize) {
    if (!optimize && (!is_huffman_sequential(header.process) || header.precision != 8))
        return unsupported("DHT", 0, "the tables of T.81 K.3 are for sequential Huffman files with 8 bits per sample",
                           "K.3");
    if (header.process != Process::baseline) return Status();
    for (int c = 0; c < header.component_count; c++)
        for (int i = 0; i < 64; i++)
            if (tables[c][i] > 255)
                return malformed("DQT", 0, "baseline files have steps of at most 255, not {}", "B.2.4.1", tables[c][i]);
    return Status();
}

Status write_scans(const WriteTask& task, const ScanScript& script, ProgressiveMaps& maps) {
    const bool arithmetic = is_arithmetic(task.header.process);
    const bool progressive = is_progressive(task.header.process);
    if (progressive && !arithmetic) {
        const Status status = map_components(task, script, maps);
        if (!status.ok()) return status;
    }
    uint32_t interval = 0;
    for (int n = 0; n < script.count; n++) {
        const Scan& scan = script.scans[n];
        if (scan.restart_interval != interval) write_restart_interval(scan.restart_interval, task.sink);
        interval = scan.restart_interval;
        const Status status = arithmetic    ? write_arithmetic_scan(task, scan)
                              : progressive ? write_progressive_scan(task, scan, maps)
                                            : write_sequential_scan(task, scan);
        if (!status.ok()) return status;
    }
    return Status();
}

}  // namespace

Writer::Writer() : scratch_(new (std::nothrow) Scratch) {}

Writer::~Writer() { delete scratch_; }

Status Writer::write(const Header& given, const int16_t* const planes[], const uint16_t (*tables)[64],
                     const WriteOptions& options) {
    if (!scratch_) return out_of_memory();
    JpegSink& sink = scratch_->sink;
    sink.trim(kept_bytes);
    sink.clear();
    scratch_->place = CoefficientPlace();
    Header header = given;
    const bool is_counted = header.component_count <= max_components;
    if (options.extend && header.process == Process::baseline && is_counted && !fits_baseline(header, tables))
        header.process = Process::extended;
    Status status = check_header(header);
    if (status.ok()) status = check_components(header, planes);
    if (status.ok()) status = check_tables(header, tables, options.optimize);
    if (status.ok()) status = make_script(header, options, scratch_->script);
    if (!status.ok()) return status;
    number_tables(header, tables);
    sink.marker(SOI);
    status = write_segments(header, options, sink);
    if (!status.ok()) return status;
    write_quantization_tables(header, tables, sink);
    write_frame(header, sink);
    if (!options.optimize) {
        Tables standard;
        set_missing_tables(standard);
        write_huffman_tables(standard, sink);
    }
    const WriteTask task = {header, planes,         options.optimize, scratch_->coder, scratch_->arithmetic_data,
                            sink,   scratch_->place};
    status = write_scans(task, scratch_->script, scratch_->maps);
    scratch_->arithmetic_data.trim(kept_bytes);
    scratch_->coder.trim();
    scratch_->maps.trim();
    sink.marker(EOI);
    return status.ok() && !sink.ok() ? out_of_memory() : status;
}

Bytes Writer::jpeg() const { return scratch_ ? scratch_->sink.bytes() : Bytes(); }

CoefficientPlace Writer::place() const { return scratch_ ? scratch_->place : CoefficientPlace(); }

}  // namespace jpegfreq
