#include "resample_geometry.h"

#include <algorithm>

namespace jpegfreq {

namespace {

struct Size {
    uint32_t height, width;
};

Size image_size(const Header& header, bool transpose) {
    return transpose ? Size{header.width, header.height} : Size{header.height, header.width};
}

}  // namespace

Status refuse_resample(const char* message, int64_t detail) {
    Status status;
    status.code = Code::unsupported;
    status.segment = "resample";
    status.message = message;
    status.detail = detail;
    return status;
}

Axis make_axis(const Header& header, const ResampleGeometry& geometry, int component, bool vertical) {
    const Component& c = header.components[component];
    const Size image = image_size(header, geometry.transpose);
    const bool stored_vertical = vertical != geometry.transpose;
    Axis axis;
    axis.image_size = vertical ? image.height : image.width;
    axis.sampling = stored_vertical ? c.vertical_sampling_factor : c.horizontal_sampling_factor;
    axis.max_sampling = stored_vertical ? header.max_vertical_sampling_factor : header.max_horizontal_sampling_factor;
    axis.begin = vertical ? geometry.top : geometry.left;
    axis.size = vertical ? geometry.height : geometry.width;
    axis.resized_size = vertical ? geometry.resized_height : geometry.resized_width;
    axis.window_begin = vertical ? geometry.window_top : geometry.window_left;
    axis.window_size = vertical ? geometry.window_height : geometry.window_width;
    axis.output_size = vertical ? geometry.output_height : geometry.output_width;
    axis.flip = vertical ? geometry.vertical_flip : geometry.horizontal_flip;
    axis.antialias = geometry.antialias;
    axis.filter = geometry.filter;
    axis.chroma = geometry.chroma;
    return axis;
}

Axis reduced_axis(const Axis& axis) {
    Axis reduced;
    reduced.image_size = reduced.size = reduced.resized_size = axis.output_size;
    reduced.window_size = reduced.output_size = axis.output_size;
    reduced.flip = axis.flip;
    reduced.antialias = false;
    reduced.filter = Filter::box;
    return reduced;
}

void resize_whole_box(ResampleGeometry& geometry, uint32_t height, uint32_t width) {
    geometry.window_top = geometry.window_left = 0;
    geometry.resized_height = geometry.window_height = height;
    geometry.resized_width = geometry.window_width = width;
    geometry.output_height = (height + 7) / 8 * 8;
    geometry.output_width = (width + 7) / 8 * 8;
}

ResampleGeometry upright(const Header& header, ResampleGeometry geometry) {
    // Upright = flips of the transposed, or not transposed, stored image.
    const uint8_t orientation = header.orientation;
    const bool horizontal = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    const bool vertical = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    geometry.transpose = is_transposed(orientation);
    const Size image = image_size(header, geometry.transpose);
    // A box or window that is not inside wraps around, and check_geometry() refuses it.
    if (horizontal) {
        geometry.left = image.width - geometry.left - geometry.width;
        geometry.window_left = geometry.resized_width - geometry.window_left - geometry.window_width;
    }
    if (vertical) {
        geometry.top = image.height - geometry.top - geometry.height;
        geometry.window_top = geometry.resized_height - geometry.window_top - geometry.window_height;
    }
    geometry.horizontal_flip ^= horizontal;
    geometry.vertical_flip ^= vertical;
    return geometry;
}

Status check_geometry(const Header& header, const ResampleGeometry& geometry) {
    const Size image = image_size(header, geometry.transpose);
    if (geometry.height == 0 || geometry.width == 0) return refuse_resample("the box is empty");
    if (uint64_t(geometry.top) + geometry.height > image.height)
        return refuse_resample("the box ends below the image's last row, {}", image.height);
    if (uint64_t(geometry.left) + geometry.width > image.width)
        return refuse_resample("the box ends right of the image's last column, {}", image.width);
    if (std::max(geometry.resized_height, geometry.resized_width) > max_resized_size)
        return refuse_resample("the image is resized to more than {} pixels", max_resized_size);
    if (geometry.window_height == 0 || geometry.window_width == 0) return refuse_resample("the window is empty");
    if (uint64_t(geometry.window_top) + geometry.window_height > geometry.resized_height)
        return refuse_resample("the window ends below the resized image's last row, {}", geometry.resized_height);
    if (uint64_t(geometry.window_left) + geometry.window_width > geometry.resized_width)
        return refuse_resample("the window ends right of the resized image's last column, {}", geometry.resized_width);
    for (const uint32_t size : {geometry.output_height, geometry.output_width}) {
        if (size == 0 || size % 8 != 0 || size > max_output_size)
            return refuse_resample("output size {} is not a multiple of 8 up to 65536", size);
    }
    if (geometry.output_height < geometry.window_height || geometry.output_width < geometry.window_width)
        return refuse_resample("the output is smaller than the window");
    return {};
}

uint32_t mcu_rows_needed(const Header& header, const ResampleGeometry& geometry) {
    uint32_t rows = 0;
    for (int c = 0; c < header.component_count; ++c) {
        const SampleRange range = source_range(make_axis(header, geometry, c, !geometry.transpose));
        const uint32_t block_rows = (range.end + 7) / 8;
        const uint32_t in_mcu = mcu_height(header, c);
        rows = std::max(rows, (block_rows + in_mcu - 1) / in_mcu);
    }
    return rows;
}

BlockRange blocks_needed(const Header& header, const ResampleGeometry& geometry, int component) {
    const SampleRange rows = source_range(make_axis(header, geometry, component, !geometry.transpose));
    const SampleRange columns = source_range(make_axis(header, geometry, component, geometry.transpose));
    return {rows.begin / 8, (rows.end + 7) / 8, columns.begin / 8, (columns.end + 7) / 8};
}

}  // namespace jpegfreq
