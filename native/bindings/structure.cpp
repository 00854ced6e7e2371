#include "bindings.h"
#include "jpegfreq_structure.h"

namespace jpegfreq::python {

namespace {

// Collects the plain tuples of which jpegfreq/structure.py makes its dataclasses.
class Collector : public StructureVisitor {
public:
    void segment(const Segment& segment) override {
        segments.append(nb::make_tuple(segment.marker, segment.offset_bytes, segment.size_bytes));
    }

    void scan(const ScanStructure& scan) override {
        nb::list components, tables;
        for (int i = 0; i < scan.component_count; i++) {
            components.append(nb::make_tuple(scan.component_index[i], scan.dc_table[i], scan.ac_table[i]));
        }
        for (int i = 0; i < scan.huffman_table_count; i++) {
            const ScanHuffmanTable& table = scan.huffman_tables[i];
            tables.append(nb::make_tuple(table.is_ac ? "AC" : "DC", table.identifier,
                                         nb::tuple(nb::bytes(table.code_counts, sizeof table.code_counts)),
                                         nb::bytes(table.values, table.value_count), table.offset_bytes));
        }
        scans.append(nb::make_tuple(components, scan.Ss, scan.Se, scan.Ah, scan.Al, scan.restart_interval,
                                    scan.offset_bytes, scan.data_offset_bytes, scan.data_size_bytes, tables));
    }

    void quantization_table(int component, const uint16_t* table) override {
        quantization_tables[nb::int_(component)] = nb::bytes(table, 64 * sizeof *table);
    }

    nb::list segments, scans;
    nb::dict quantization_tables;
};

nb::object read_structure_of(nb::handle data, bool keep_damage) {
    Input input(data);
    Header header;
    const int error = input.load();
    if (error != 0) raise(input.os_error(error));
    Status status = read_header(input.bytes(), header);
    if (!status.ok()) raise(to_exception(status, input));
    Collector collector;
    status = read_structure(input.bytes(), header, Limits(), collector);
    nb::object damage = status.ok() ? nb::none() : to_exception(status, input);
    if (!status.ok() && !(keep_damage && is_damage(status))) raise(damage);
    return nb::make_tuple(to_python(header), collector.segments, collector.scans, collector.quantization_tables,
                          damage);
}

}  // namespace

void bind_structure(nb::module_& module) {
    module.def("read_structure", &read_structure_of, nb::arg("data").none(), nb::arg("keep_damage"));
}

}  // namespace jpegfreq::python
