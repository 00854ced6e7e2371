#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>

#include <algorithm>
#include <array>
#include <string>

#include "bindings.h"
#include "jpegfreq_resample.h"

namespace jpegfreq::python {

namespace {

using Plane = nb::ndarray<const int16_t, nb::shape<-1, -1, 8, 8>, nb::c_contig, nb::device::cpu>;
using QuantizationTable = nb::ndarray<const uint16_t, nb::shape<8, 8>, nb::c_contig, nb::device::cpu>;
using ChannelNumbers = nb::ndarray<const uint16_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ChannelValues = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Tensor = nb::ndarray<nb::ndim<3>, nb::c_contig, nb::device::cpu>;

// A jpegfreq.Coefficients as the core sees it; the arrays keep the memory alive. Anyone can build a Coefficients, so this
// checks that its planes are as large as its header says.
struct Source {
    Header header;
    Plane plane_arrays[max_components];
    QuantizationTable table_arrays[max_components];
    const int16_t* planes[max_components] = {};
    uint16_t tables[max_components][64] = {};

    explicit Source(nb::handle coefficients) {
        nb::object python_header = coefficients.attr("header");
        nb::tuple components = nb::cast<nb::tuple>(python_header.attr("components"));
        nb::tuple python_planes = nb::cast<nb::tuple>(coefficients.attr("planes"));
        nb::tuple python_tables = nb::cast<nb::tuple>(coefficients.attr("quantization_tables"));
        if (components.size() < 1 || components.size() > size_t(max_components) || python_planes.size() != components.size() ||
            python_tables.size() != components.size()) {
            throw nb::value_error("coefficients need 1 to 4 components, each with a plane and a quantization table");
        }
        header.height = nb::cast<uint32_t>(python_header.attr("height"));
        header.width = nb::cast<uint32_t>(python_header.attr("width"));
        header.orientation = nb::cast<uint8_t>(python_header.attr("orientation"));
        header.component_count = uint8_t(components.size());
        for (size_t c = 0; c < components.size(); c++) {
            Component& component = header.components[c];
            component.horizontal_sampling_factor = nb::cast<uint8_t>(components[c].attr("horizontal_sampling_factor"));
            component.vertical_sampling_factor = nb::cast<uint8_t>(components[c].attr("vertical_sampling_factor"));
            header.max_horizontal_sampling_factor = std::max(header.max_horizontal_sampling_factor, component.horizontal_sampling_factor);
            header.max_vertical_sampling_factor = std::max(header.max_vertical_sampling_factor, component.vertical_sampling_factor);
            if (component.horizontal_sampling_factor < 1 || component.vertical_sampling_factor < 1) {
                throw nb::value_error("a sampling factor is at least 1 (T.81 B.2.2)");
            }
        }
        for (size_t c = 0; c < components.size(); c++) {
            plane_arrays[c] = nb::cast<Plane>(python_planes[c]);
            table_arrays[c] = nb::cast<QuantizationTable>(python_tables[c]);
            Component& component = header.components[c];
            component.blocks_high = blocks(header.height, component.vertical_sampling_factor, header.max_vertical_sampling_factor);
            component.blocks_wide = blocks(header.width, component.horizontal_sampling_factor, header.max_horizontal_sampling_factor);
            if (plane_arrays[c].shape(0) != component.blocks_high || plane_arrays[c].shape(1) != component.blocks_wide) {
                throw nb::value_error(("plane " + std::to_string(c) + " is not as large as the header says (T.81 A.1.1)").c_str());
            }
            planes[c] = plane_arrays[c].data();
            std::copy_n(table_arrays[c].data(), 64, tables[c]);
        }
    }

private:
    // T.81 A.1.1
    static uint32_t blocks(uint64_t size, uint32_t factor, uint32_t max_factor) {
        const uint64_t samples = (size * factor + max_factor - 1) / max_factor;
        return uint32_t((samples + 7) / 8);
    }
};

[[noreturn]] void raise_value_error(const Status& status) {
    std::string text = status.message;
    const size_t place = text.find("{}");
    if (place != std::string::npos) text.replace(place, 2, std::to_string(status.detail));
    throw nb::value_error(text.c_str());
}

uint32_t checked(int64_t value, const char* name) {
    if (value < 0 || value > int64_t(UINT32_MAX)) throw nb::value_error((std::string("the box's ") + name + " is outside the image").c_str());
    return uint32_t(value);
}

TensorType type_of(const Tensor& tensor) {
    if (tensor.dtype() == nb::dtype<float>()) return TensorType::float32;
    const nb::dlpack::dtype half{uint8_t(nb::dlpack::dtype_code::Float), 16, 1};
    if (tensor.dtype() == half) return TensorType::float16;
    throw nb::type_error("the output must be float32 or float16");
}

void resample_into(nb::handle coefficients, std::array<int64_t, 4> box, bool horizontal_flip, bool vertical_flip, bool apply_orientation,
                   int filter, bool antialias, int chroma, ChannelNumbers channels, ChannelValues scale, ChannelValues shift,
                   bool channels_last, Tensor out) {
    const Source source(coefficients);
    TensorSpec spec;
    spec.layout = channels_last ? TensorLayout::hwc : TensorLayout::chw;
    spec.type = type_of(out);
    spec.channels = channels.data();
    spec.scale = scale.data();
    spec.shift = shift.data();
    spec.channel_count = uint32_t(channels.shape(0));
    if (out.shape(channels_last ? 2 : 0) != channels.shape(0) || scale.shape(0) != channels.shape(0) || shift.shape(0) != channels.shape(0)) {
        throw nb::value_error("the output, scale and shift must have one entry a channel");
    }
    ResampleGeometry geometry;
    geometry.top = checked(box[0], "top");
    geometry.left = checked(box[1], "left");
    geometry.height = checked(box[2], "height");
    geometry.width = checked(box[3], "width");
    const size_t rows = out.shape(channels_last ? 0 : 1), columns = out.shape(channels_last ? 1 : 2);
    if (rows > max_output_size / 8 || columns > max_output_size / 8) throw nb::value_error("the output is larger than 65536 pixels");
    geometry.output_height = uint32_t(8 * rows);
    geometry.output_width = uint32_t(8 * columns);
    geometry.horizontal_flip = horizontal_flip;
    geometry.vertical_flip = vertical_flip;
    geometry.antialias = antialias;
    geometry.filter = static_cast<Filter>(filter);
    geometry.chroma = static_cast<ChromaResampling>(chroma);
    if (apply_orientation) geometry = upright(source.header, geometry);

    Status status;
    {
        nb::gil_scoped_release release;
        thread_local Resampler resampler;
        status = resampler.resample(source.header, source.planes, source.tables, geometry, spec, out.data());
    }
    if (status.code == Code::out_of_memory) throw std::bad_alloc();
    if (!status.ok()) raise_value_error(status);
}

}  // namespace

void bind_resample(nb::module_& module) {
    module.def("resample", &resample_into, nb::arg("coefficients"), nb::arg("box"), nb::arg("horizontal_flip"), nb::arg("vertical_flip"),
               nb::arg("apply_orientation"), nb::arg("filter"), nb::arg("antialias"), nb::arg("chroma"), nb::arg("channels"),
               nb::arg("scale"), nb::arg("shift"), nb::arg("channels_last"), nb::arg("out").noconvert());
}

}  // namespace jpegfreq::python
