#include <cstring>

#include "bindings.h"
#include "jpegfreq_structure.h"
#include "record.h"

namespace jpegfreq::python {

namespace {

int export_plane_memory(PyObject* self, Py_buffer* view, int flags) {
    const PlaneMemory* memory = nb::inst_ptr<PlaneMemory>(self);
    return PyBuffer_FillInfo(view, self, memory->data(), static_cast<Py_ssize_t>(memory->size_bytes()), 0, flags);
}

PyType_Slot plane_memory_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(export_plane_memory)}, {0, nullptr}};

struct Types {
    nb::object coefficients = nb::module_::import_("jpegfreq.coefficients").attr("Coefficients");
    nb::object ndarray = nb::module_::import_("numpy").attr("ndarray");
    nb::object int16 = nb::module_::import_("numpy").attr("dtype")("int16");
    nb::object uint16 = nb::module_::import_("numpy").attr("dtype")("uint16");
    nb::object table_shape = nb::make_tuple(8, 8);
    nb::object header = interned("header");
    nb::object planes = interned("planes");
    nb::object quantization_tables = interned("quantization_tables");
    nb::object damages = interned("damages");
    nb::object segments = interned("segments");
};

const Types& types() {
    static const Types* types = new Types;  // never freed: the interpreter may be gone when static objects die
    return *types;
}

}  // namespace

Decoder& thread_decoder() {
    thread_local Decoder decoder;
    return decoder;
}

namespace {

nb::object read_coefficients_of(nb::handle data, bool keep_damage, uint64_t max_pixels, bool segments) {
    Input input(data);
    Header header;
    Output output;
    Status status;
    std::unique_ptr<PlaneMemory> memory;
    Decoder& decoder = thread_decoder();
    int error = 0;
    bool decoded = false;
    Limits limits;
    limits.max_pixels = max_pixels;
    {
        nb::gil_scoped_release release;
        error = input.load();
        if (error == 0) status = read_header(input.bytes(), header);
        if (error == 0 && status.ok())
            status = allocate_planes(input.bytes(), header, limits, keep_damage, memory, output);
        if (error == 0 && status.ok()) {
            status = decoder.read_coefficients(input.bytes(), header, limits, output);
            decoded = true;
        }
    }
    if (error != 0) raise(input.os_error(error));
    if (!status.ok() && !(keep_damage && decoded && is_damage(status))) raise(to_exception(status, input));
    return to_python(header, output, std::move(memory), to_exceptions(decoder.damages(), input),
                     segments_of(input.bytes(), segments));
}

class SegmentCollector : public SegmentVisitor {
public:
    explicit SegmentCollector(Bytes jpeg) : jpeg_(jpeg) {}

    void segment(const Segment& segment) override {
        if (!is_application_or_comment(segment.marker) || segment.size_bytes < 4) return;
        segments.append(nb::make_tuple(segment.marker, nb::bytes(jpeg_.data + segment.offset_bytes + 4,
                                                                 static_cast<size_t>(segment.size_bytes - 4))));
    }

    nb::list segments;

private:
    Bytes jpeg_;
};

}  // namespace

nb::object segments_of(Bytes jpeg, bool asked_for) {
    if (!asked_for) return nb::none();
    SegmentCollector collector(jpeg);
    visit_segments(jpeg, collector);
    return nb::tuple(collector.segments);
}

nb::object to_python(const Header& header, const Output& output, std::unique_ptr<PlaneMemory> memory,
                     nb::handle damages, nb::handle segments) {
    const Types& types = python::types();
    const uint8_t* start = memory->data();
    nb::object owner = nb::cast(memory.release(), nb::rv_policy::take_ownership);
    nb::object planes = nb::steal(PyTuple_New(header.component_count));
    nb::object tables = nb::steal(PyTuple_New(header.component_count));
    if (!planes.is_valid() || !tables.is_valid()) throw nb::python_error();
    for (int c = 0; c < header.component_count; c++) {
        const Component& component = header.components[c];
        const size_t offset = static_cast<size_t>(reinterpret_cast<const uint8_t*>(output.planes[c]) - start);
        nb::object plane = types.ndarray(nb::make_tuple(component.blocks_high, component.blocks_wide, 8, 8),
                                         types.int16, owner, offset);
        PyTuple_SetItem(planes.ptr(), c, plane.release().ptr());
        nb::object table = nb::steal(PyByteArray_FromStringAndSize(
            reinterpret_cast<const char*>(output.quantization_tables[c]), sizeof(output.quantization_tables[c])));
        if (!table.is_valid()) throw nb::python_error();
        PyTuple_SetItem(tables.ptr(), c, types.ndarray(types.table_shape, types.uint16, table).release().ptr());
    }
    Record record(types.coefficients);
    record.set(types.header, to_python(header));
    record.set(types.planes, planes);
    record.set(types.quantization_tables, tables);
    record.set(types.damages, damages);
    record.set(types.segments, segments);
    return record.take();
}

void bind_coefficients(nb::module_& module) {
    nb::class_<PlaneMemory>(module, "PlaneMemory", nb::type_slots(plane_memory_slots));
    module.def(
        "allocate",
        [](size_t size_bytes) {
            std::unique_ptr<PlaneMemory> memory = PlaneMemory::allocate(size_bytes, false);
            if (!memory) throw std::bad_alloc();
            return nb::cast(memory.release(), nb::rv_policy::take_ownership);
        },
        nb::arg("size_bytes"));
    module.def("read_coefficients", &read_coefficients_of, nb::arg("data").none(), nb::arg("keep_damage"),
               nb::arg("max_pixels"), nb::arg("segments"));
}

}  // namespace jpegfreq::python
