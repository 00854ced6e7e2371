#include <nanobind/ndarray.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "bindings.h"
#include "helpers.h"
#include "jpegfreq_write.h"

namespace jpegfreq::python {

namespace {

using Plane = nb::ndarray<const int16_t, nb::shape<-1, -1, 8, 8>, nb::c_contig, nb::device::cpu>;
using QuantizationTable = nb::ndarray<const uint16_t, nb::shape<8, 8>, nb::c_contig, nb::device::cpu>;

// A whole number of an object that anyone may have built.
template <class Number>
void read_number(nb::handle owner, const char* name, Number& number) {
    nb::object value = owner.attr(name);
    int overflow = 0;
    const long long wide = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
    if (wide == -1 && PyErr_Occurred()) throw nb::python_error();
    if (overflow != 0 || wide < 0 || wide > static_cast<long long>(std::numeric_limits<Number>::max())) {
        PyErr_Format(PyExc_ValueError, "%s of the header must be from 0 to %llu, not %R", name,
                     static_cast<unsigned long long>(std::numeric_limits<Number>::max()), value.ptr());
        throw nb::python_error();
    }
    number = static_cast<Number>(wide);
}

Header read_header_object(nb::handle object) {
    Header header;
    read_number(object, "height", header.height);
    read_number(object, "width", header.width);
    read_number(object, "precision", header.precision);
    read_number(object, "restart_interval", header.restart_interval);
    read_number(object, "orientation", header.orientation);
    header.color = color_named(nb::cast<std::string>(object.attr("color")));
    nb::tuple components = nb::cast<nb::tuple>(object.attr("components"));
    if (components.size() < 1 || components.size() > size_t(max_components))
        throw nb::value_error("a header needs 1 to 4 components");
    header.component_count = uint8_t(components.size());
    for (size_t c = 0; c < components.size(); c++) {
        Component& component = header.components[c];
        read_number(components[c], "identifier", component.identifier);
        read_number(components[c], "horizontal_sampling_factor", component.horizontal_sampling_factor);
        read_number(components[c], "vertical_sampling_factor", component.vertical_sampling_factor);
        read_number(components[c], "quantization_table_id", component.quantization_table_id);
        read_number(components[c], "blocks_high", component.blocks_high);
        read_number(components[c], "blocks_wide", component.blocks_wide);
    }
    return header;
}

// What all images of a call share.
struct SharedOptions {
    WriteOptions options;
    std::vector<WrittenScan> scans;

    SharedOptions(bool optimize, int64_t restart_rows, nb::list given) {
        for (nb::handle one : given) {
            nb::tuple parts = nb::cast<nb::tuple>(one);
            nb::tuple components = nb::cast<nb::tuple>(parts[0]);
            WrittenScan scan;
            if (components.size() > size_t(max_components)) throw nb::value_error("a scan has at most 4 components");
            scan.component_count = uint8_t(components.size());
            for (size_t i = 0; i < components.size(); i++) scan.components[i] = nb::cast<uint8_t>(components[i]);
            scan.Ss = nb::cast<uint8_t>(parts[1]);
            scan.Se = nb::cast<uint8_t>(parts[2]);
            scan.Ah = nb::cast<uint8_t>(parts[3]);
            scan.Al = nb::cast<uint8_t>(parts[4]);
            scans.push_back(scan);
        }
        options.optimize = optimize;
        options.restart_rows = restart_rows;
        options.scans = {scans.data(), scans.size()};
    }
};

// One image as the core sees it; the arrays and bytes keep the memory alive. Made and destroyed with the GIL held.
class Image {
public:
    // `image` is (header, planes, quantization_tables, process, extend, segments, add_color_segment, name).
    Image(nb::handle image, const SharedOptions& shared) {
        nb::tuple parts = nb::cast<nb::tuple>(image);
        header_ = read_header_object(parts[0]);
        header_.process = process_named(nb::cast<std::string>(parts[3]));
        nb::tuple planes = nb::cast<nb::tuple>(parts[1]), tables = nb::cast<nb::tuple>(parts[2]);
        if (planes.size() != header_.component_count || tables.size() != header_.component_count)
            throw nb::value_error("every component needs a plane and a quantization table");
        for (size_t c = 0; c < planes.size(); c++) {
            plane_arrays_[c] = nb::cast<Plane>(planes[c]);
            table_arrays_[c] = nb::cast<QuantizationTable>(tables[c]);
            const Component& component = header_.components[c];
            if (plane_arrays_[c].shape(0) != component.blocks_high ||
                plane_arrays_[c].shape(1) != component.blocks_wide)
                throw nb::value_error(("plane " + std::to_string(c) + " is not as large as its component").c_str());
            planes_[c] = plane_arrays_[c].data();
            for (int i = 0; i < 64; i++) tables_[c][i] = table_arrays_[c].data()[i];
        }
        for (nb::handle one : nb::cast<nb::tuple>(parts[5])) {
            nb::tuple pair = nb::cast<nb::tuple>(one);
            nb::bytes body = nb::cast<nb::bytes>(pair[1]);
            segments_.push_back({nb::cast<uint8_t>(pair[0]), {static_cast<const uint8_t*>(body.data()), body.size()}});
            bodies_.push_back(body);
        }
        options_ = shared.options;
        options_.segments = {segments_.data(), segments_.size()};
        options_.extend = nb::cast<bool>(parts[4]);
        options_.add_color_segment = nb::cast<bool>(parts[6]);
        name_ = parts[7];
    }
    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;

    // Needs no GIL.
    void write(Writer& writer) {
        status_ = writer.write(header_, planes_, tables_, options_);
        place_ = writer.place();
    }

    // The exception of a write() that failed, or None.
    nb::object exception() const {
        if (status_.ok()) return nb::none();
        if (status_.code == Code::out_of_memory) return nb::handle(PyExc_MemoryError)();
        const nb::object from_status = nb::module_::import_("jpegfreq.writer").attr("_from_status");
        std::string text = status_.message;
        const size_t at = text.find("{}");
        if (at != std::string::npos) text.replace(at, 2, std::to_string(status_.detail));
        nb::object place = nb::none();
        if (place_.component >= 0)
            place = nb::make_tuple(place_.component, place_.block_row, place_.block_column, place_.frequency / 8,
                                   place_.frequency % 8, place_.value);
        return from_status(name_, status_.segment, text.c_str(), status_.clause, place);
    }

private:
    Header header_;
    Plane plane_arrays_[max_components];
    QuantizationTable table_arrays_[max_components];
    const int16_t* planes_[max_components] = {};
    uint16_t tables_[max_components][64] = {};
    std::vector<nb::bytes> bodies_;
    std::vector<WrittenSegment> segments_;
    WriteOptions options_;
    nb::object name_;  // begins the message of an exception
    Status status_;
    CoefficientPlace place_;
};

nb::bytes to_bytes(Bytes bytes) { return nb::bytes(bytes.data, bytes.size); }

nb::object write_jpeg_of(nb::handle given, bool optimize, int64_t restart_rows, nb::list scans) {
    const SharedOptions shared(optimize, restart_rows, scans);
    Image image(given, shared);
    thread_local Writer writer;
    {
        nb::gil_scoped_release release;
        image.write(writer);
    }
    nb::object exception = image.exception();
    if (!exception.is_none()) raise(exception);
    return to_bytes(writer.jpeg());
}

// Writes the images in order on as many threads; each file becomes Python's at once.
nb::list write_jpeg_batch_of(nb::list given, bool optimize, int64_t restart_rows, nb::list scans, size_t threads,
                             bool return_errors) {
    const SharedOptions shared(optimize, restart_rows, scans);
    std::vector<std::unique_ptr<Image>> images;
    for (nb::handle one : given) images.push_back(std::make_unique<Image>(one, shared));
    std::vector<nb::object> results(images.size());
    std::atomic<size_t> next{0};
    std::atomic<bool> stopped{false};
    const auto work = [&](bool is_caller) {
        thread_local Writer writer;
        for (size_t i; !stopped.load() && (i = next.fetch_add(1)) < images.size();) {
            images[i]->write(writer);
            nb::gil_scoped_acquire acquire;
            results[i] = images[i]->exception();
            if (results[i].is_none()) {
                results[i] = nb::steal(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(writer.jpeg().data),
                                                                 static_cast<Py_ssize_t>(writer.jpeg().size)));
                if (!results[i].is_valid()) {
                    PyErr_Clear();
                    results[i] = nb::handle(PyExc_MemoryError)();
                }
            } else if (!return_errors) {
                stopped.store(true);  // the images before it have been taken, and are written to the end
            }
            if (is_caller && PyErr_CheckSignals() != 0) stopped.store(true);
        }
    };
    {
        nb::gil_scoped_release release;
        run_on_threads(std::max<size_t>(1, std::min(threads, images.size())), work);
    }
    if (PyErr_Occurred()) throw nb::python_error();
    nb::list list;
    for (const nb::object& result : results) {
        if (!return_errors && PyExceptionInstance_Check(result.ptr())) raise(result);
        list.append(result);
    }
    return list;
}

}  // namespace

void bind_write(nb::module_& module) {
    module.def("write_jpeg", &write_jpeg_of, nb::arg("image"), nb::arg("optimize"), nb::arg("restart_rows"),
               nb::arg("scans"));
    module.def("write_jpeg_batch", &write_jpeg_batch_of, nb::arg("images"), nb::arg("optimize"),
               nb::arg("restart_rows"), nb::arg("scans"), nb::arg("threads"), nb::arg("return_errors"));
}

}  // namespace jpegfreq::python
