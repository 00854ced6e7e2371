#include <algorithm>
#include <array>
#include <new>
#include <string>

#include "resample_arguments.h"

namespace jpegfreq::python {

namespace {

using Plane = nb::ndarray<const int16_t, nb::shape<-1, -1, 8, 8>, nb::c_contig, nb::device::cpu>;
using QuantizationTable = nb::ndarray<const uint16_t, nb::shape<8, 8>, nb::c_contig, nb::device::cpu>;
using Tensor = OutputArray<3>;

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
        if (components.size() < 1 || components.size() > size_t(max_components) ||
            python_planes.size() != components.size() || python_tables.size() != components.size()) {
            throw nb::value_error("coefficients need 1 to 4 components, each with a plane and a quantization table");
        }
        header.height = nb::cast<uint32_t>(python_header.attr("height"));
        header.width = nb::cast<uint32_t>(python_header.attr("width"));
        header.precision = nb::cast<uint8_t>(python_header.attr("precision"));
        header.orientation = nb::cast<uint8_t>(python_header.attr("orientation"));
        header.component_count = uint8_t(components.size());
        for (size_t c = 0; c < components.size(); c++) {
            Component& component = header.components[c];
            component.horizontal_sampling_factor = nb::cast<uint8_t>(components[c].attr("horizontal_sampling_factor"));
            component.vertical_sampling_factor = nb::cast<uint8_t>(components[c].attr("vertical_sampling_factor"));
            header.max_horizontal_sampling_factor =
                std::max(header.max_horizontal_sampling_factor, component.horizontal_sampling_factor);
            header.max_vertical_sampling_factor =
                std::max(header.max_vertical_sampling_factor, component.vertical_sampling_factor);
            if (component.horizontal_sampling_factor < 1 || component.vertical_sampling_factor < 1) {
                throw nb::value_error("a sampling factor is at least 1 (T.81 B.2.2)");
            }
        }
        for (size_t c = 0; c < components.size(); c++) {
            plane_arrays[c] = nb::cast<Plane>(python_planes[c]);
            table_arrays[c] = nb::cast<QuantizationTable>(python_tables[c]);
            Component& component = header.components[c];
            component.blocks_high =
                blocks(header.height, component.vertical_sampling_factor, header.max_vertical_sampling_factor);
            component.blocks_wide =
                blocks(header.width, component.horizontal_sampling_factor, header.max_horizontal_sampling_factor);
            if (plane_arrays[c].shape(0) != component.blocks_high ||
                plane_arrays[c].shape(1) != component.blocks_wide) {
                throw nb::value_error(
                    ("plane " + std::to_string(c) + " is not as large as the header says (T.81 A.1.1)").c_str());
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

nb::object to_value_error(const Status& status) {
    std::string text = status.message;
    const size_t place = text.find("{}");
    if (place != std::string::npos) text.replace(place, 2, std::to_string(status.detail));
    return nb::borrow(PyExc_ValueError)(text.c_str());
}

void resample_into(nb::handle coefficients, std::array<int64_t, region_numbers> region, PixelSize size,
                   bool horizontal_flip, bool vertical_flip, bool apply_orientation, int filter, bool antialias,
                   int chroma, ChannelNumbers channels, ChannelValues scale, ChannelValues shift, bool channels_last,
                   Tensor out) {
    check_device(out.device_type());
    const Source source(coefficients);
    const TensorSpec spec =
        tensor_spec(channels, scale, shift, channels_last, out.dtype(), out.shape(channels_last ? 2 : 0));
    ResampleGeometry geometry = resample_geometry(size, out.shape(channels_last ? 0 : 1),
                                                  out.shape(channels_last ? 1 : 2), filter, antialias, chroma);
    const Header& header = source.header;
    const bool turned = apply_orientation && is_transposed(header.orientation);
    set_region(geometry, region.data(),
               turned ? PixelSize{header.width, header.height} : PixelSize{header.height, header.width});
    geometry.horizontal_flip = horizontal_flip;
    geometry.vertical_flip = vertical_flip;
    if (apply_orientation) geometry = upright(header, geometry);

    Status status;
    {
        nb::gil_scoped_release release;
        thread_local Resampler resampler;
        status = resampler.resample(source.header, source.planes, source.tables, geometry, spec, out.data());
    }
    if (status.code == Code::out_of_memory) throw std::bad_alloc();
    if (!status.ok()) raise(to_value_error(status));
}

void upsample_into(nb::handle coefficients, int chroma, ChannelNumbers channels, ChannelValues scale,
                   ChannelValues shift, bool channels_last, Tensor out) {
    check_device(out.device_type());
    const Source source(coefficients);
    const TensorSpec spec =
        tensor_spec(channels, scale, shift, channels_last, out.dtype(), out.shape(channels_last ? 2 : 0));
    if (out.shape(channels_last ? 0 : 1) != (source.header.height + 7) / 8 ||
        out.shape(channels_last ? 1 : 2) != (source.header.width + 7) / 8) {
        throw nb::value_error("the output is not the image's luma grid");
    }
    Status status;
    {
        nb::gil_scoped_release release;
        thread_local Resampler resampler;
        status = resampler.upsample(source.header, source.planes, source.tables, static_cast<ChromaResampling>(chroma),
                                    spec, out.data());
    }
    if (status.code == Code::out_of_memory) throw std::bad_alloc();
    if (!status.ok()) raise(to_value_error(status));
}

void split_frequencies_into(nb::ndarray<const int16_t, nb::shape<-1, 64>, nb::c_contig, nb::device::cpu> blocks,
                            uint8_t rows,
                            nb::ndarray<int16_t, nb::shape<64, -1>, nb::c_contig, nb::device::cpu> planes) {
    if (planes.shape(1) != blocks.shape(0)) throw nb::value_error("blocks and planes must be of one count");
    nb::gil_scoped_release release;
    split_frequencies(blocks.data(), blocks.shape(0), rows, planes.data());
}

}  // namespace

void check_device(int32_t device_type) {
    if (device_type != nb::device::cpu::value && device_type != nb::device::cuda_host::value)
        throw nb::type_error("the output must be in the processor's memory");
}

TensorSpec tensor_spec(const ChannelNumbers& channels, const ChannelValues& scale, const ChannelValues& shift,
                       bool channels_last, nb::dlpack::dtype type, size_t channel_count) {
    const nb::dlpack::dtype half{uint8_t(nb::dlpack::dtype_code::Float), 16, 1};
    const nb::dlpack::dtype bfloat16{uint8_t(nb::dlpack::dtype_code::Bfloat), 16, 1};
    if (type != nb::dtype<float>() && type != half && type != bfloat16 && type != nb::dtype<int8_t>())
        throw nb::type_error("the output must be float32, float16, bfloat16 or int8");
    if (channels.shape(0) != channel_count || scale.shape(0) != channel_count || shift.shape(0) != channel_count) {
        throw nb::value_error("the output, scale and shift must have one entry per channel");
    }
    TensorSpec spec;
    spec.channels = channels.data();
    spec.scale = scale.data();
    spec.shift = shift.data();
    spec.channel_count = static_cast<uint32_t>(channel_count);
    spec.layout = channels_last ? TensorLayout::hwc : TensorLayout::chw;
    spec.type = type == half                  ? TensorType::float16
                : type == bfloat16            ? TensorType::bfloat16
                : type == nb::dtype<int8_t>() ? TensorType::int8
                                              : TensorType::float32;
    return spec;
}

ResampleGeometry resample_geometry(PixelSize size, size_t blocks_high, size_t blocks_wide, int filter, bool antialias,
                                   int chroma) {
    ResampleGeometry geometry;
    if (std::max(size[0], size[1]) > max_output_size) throw nb::value_error("the output is larger than 65536 pixels");
    resize_whole_box(geometry, size[0], size[1]);
    if (geometry.output_height != 8 * blocks_high || geometry.output_width != 8 * blocks_wide)
        throw nb::value_error("the output does not have the blocks of its size");
    geometry.antialias = antialias;
    geometry.filter = static_cast<Filter>(filter);
    geometry.chroma = static_cast<ChromaResampling>(chroma);
    return geometry;
}

void set_region(ResampleGeometry& geometry, const int64_t* region, PixelSize image) {
    uint32_t numbers[region_numbers];
    for (size_t i = 0; i < region_numbers; i++)
        numbers[i] = region[i] < 0 || region[i] > int64_t(UINT32_MAX) ? UINT32_MAX : static_cast<uint32_t>(region[i]);
    if (numbers[4] == 0 && numbers[5] == 0) {
        geometry.top = numbers[0], geometry.left = numbers[1];
        geometry.height = numbers[2], geometry.width = numbers[3];
        return;
    }
    geometry.height = image[0], geometry.width = image[1];
    geometry.window_top = numbers[0], geometry.window_left = numbers[1];
    geometry.window_height = numbers[2], geometry.window_width = numbers[3];
    geometry.resized_height = numbers[4], geometry.resized_width = numbers[5];
}

void bind_resample(nb::module_& module) {
    module.def("resample", &resample_into, nb::arg("coefficients"), nb::arg("region"), nb::arg("size"),
               nb::arg("horizontal_flip"), nb::arg("vertical_flip"), nb::arg("apply_orientation"), nb::arg("filter"),
               nb::arg("antialias"), nb::arg("chroma"), nb::arg("channels"), nb::arg("scale"), nb::arg("shift"),
               nb::arg("channels_last"), nb::arg("out").noconvert());
    module.def("upsample", &upsample_into, nb::arg("coefficients"), nb::arg("chroma"), nb::arg("channels"),
               nb::arg("scale"), nb::arg("shift"), nb::arg("channels_last"), nb::arg("out").noconvert());
    module.def("split_frequencies", &split_frequencies_into, nb::arg("blocks"), nb::arg("rows"),
               nb::arg("planes").noconvert());
}

}  // namespace jpegfreq::python
