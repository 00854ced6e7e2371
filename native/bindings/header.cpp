#include <string>

#include "bindings.h"
#include "jpegfreq_resample.h"
#include "record.h"

namespace jpegfreq::python {

namespace {

constexpr size_t beginning_of_file = 65536;  // holds the header of nearly every photograph, EXIF preview included

const char* name(Process process) {
    switch (process) {
        case Process::baseline: return "baseline";
        case Process::extended: return "extended";
        case Process::progressive: return "progressive";
        case Process::lossless: return "lossless";
        case Process::arithmetic_extended: return "arithmetic extended";
        case Process::arithmetic_progressive: return "arithmetic progressive";
    }
    return "unknown";
}

const char* name(ColorKind color) {
    switch (color) {
        case ColorKind::grey: return "grey";
        case ColorKind::ycbcr: return "YCbCr";
        case ColorKind::rgb: return "RGB";
        case ColorKind::cmyk: return "CMYK";
        case ColorKind::ycck: return "YCCK";
        case ColorKind::unknown: return "unknown";
    }
    return "unknown";
}

struct Types {
    nb::object header = nb::module_::import_("jpegfreq.header").attr("Header");
    nb::object component = nb::module_::import_("jpegfreq.header").attr("Component");
    nb::object height = interned("height");
    nb::object width = interned("width");
    nb::object precision = interned("precision");
    nb::object process = interned("process");
    nb::object components = interned("components");
    nb::object restart_interval = interned("restart_interval");
    nb::object color = interned("color");
    nb::object orientation = interned("orientation");
    nb::object identifier = interned("identifier");
    nb::object horizontal_sampling_factor = interned("horizontal_sampling_factor");
    nb::object vertical_sampling_factor = interned("vertical_sampling_factor");
    nb::object quantization_table_id = interned("quantization_table_id");
    nb::object blocks_high = interned("blocks_high");
    nb::object blocks_wide = interned("blocks_wide");
};

const Types& types() {
    static const Types* types = new Types;  // never freed: the interpreter may be gone when static objects die
    return *types;
}

nb::object component_to_python(const Component& component, const Types& types) {
    Record record(types.component);
    record.set(types.identifier, component.identifier);
    record.set(types.horizontal_sampling_factor, component.horizontal_sampling_factor);
    record.set(types.vertical_sampling_factor, component.vertical_sampling_factor);
    record.set(types.quantization_table_id, component.quantization_table_id);
    record.set(types.blocks_high, component.blocks_high);
    record.set(types.blocks_wide, component.blocks_wide);
    return record.take();
}

nb::object read_header_of(nb::handle data) {
    Input input(data);
    Header header;
    Status status;
    int error = 0;
    if (input.is_path()) {
        nb::gil_scoped_release release;
        error = input.load(beginning_of_file);
        if (error == 0) status = read_header(input.bytes(), header);
        if (error == 0 && !status.ok() && input.bytes().size == beginning_of_file) {
            error = input.load();
            if (error == 0) status = read_header(input.bytes(), header);
        }
    } else {
        status = read_header(input.bytes(), header);
    }
    if (error != 0) raise(input.os_error(error));
    if (!status.ok()) raise(to_exception(status, input));
    return to_python(header);
}

// Why no tensor can be made of an image of this colour, by the name that Header.color has, or None.
nb::object color_refusal(const std::string& color, bool luma_only) {
    Header header;
    header.color = color_named(color);
    const Status status = check_color(header, luma_only);
    return status.ok() ? nb::none() : nb::object(nb::str(status.message));
}

[[noreturn]] void raise_unknown(const char* what, const std::string& value) {
    throw nb::value_error((std::string(what) + " of the header has no known name: \"" + value + "\"").c_str());
}

}  // namespace

Process process_named(const std::string& wanted) {
    for (const Process process : {Process::baseline, Process::extended, Process::progressive, Process::lossless,
                                  Process::arithmetic_extended, Process::arithmetic_progressive})
        if (wanted == name(process)) return process;
    raise_unknown("the process", wanted);
}

ColorKind color_named(const std::string& wanted) {
    for (const ColorKind color :
         {ColorKind::grey, ColorKind::ycbcr, ColorKind::rgb, ColorKind::cmyk, ColorKind::ycck, ColorKind::unknown})
        if (wanted == name(color)) return color;
    raise_unknown("the colour", wanted);
}

nb::object to_python(const Header& header) {
    const Types& types = python::types();
    nb::object components = nb::steal(PyTuple_New(header.component_count));
    if (!components.is_valid()) throw nb::python_error();
    for (int c = 0; c < header.component_count; c++) {
        PyTuple_SetItem(components.ptr(), c, component_to_python(header.components[c], types).release().ptr());
    }
    Record record(types.header);
    record.set(types.height, header.height);
    record.set(types.width, header.width);
    record.set(types.precision, header.precision);
    record.set(types.process, name(header.process));
    record.set(types.components, components);
    record.set(types.restart_interval, header.restart_interval);
    record.set(types.color, name(header.color));
    record.set(types.orientation, header.orientation);
    return record.take();
}

void bind_header(nb::module_& module) {
    module.def("read_header", &read_header_of, nb::arg("data").none());
    module.def("color_refusal", &color_refusal, nb::arg("color"), nb::arg("luma_only"));
}

}  // namespace jpegfreq::python
