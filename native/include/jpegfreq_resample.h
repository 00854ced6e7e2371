// The contract of the native resample: quantized coefficients in, the coefficients of a cropped, resized, flipped image out.
//
// Crop, resize and flip are linear, so this is exact: inverse DCT without clamp -> crop -> resize -> block DCT, as one stream
// of 8-row bands that never makes an image. Nothing here throws, prints or allocates per block; a Resampler keeps its scratch.
#pragma once

#include "jpegfreq.h"

namespace jpegfreq {

enum class Filter : uint8_t { box, bilinear, bicubic };

// How a component of lower resolution reaches the output grid.
enum class ChromaResampling : uint8_t {
    direct,     // from its own resolution to the output in one step
    fancy,      // as if first interpolated linearly to full resolution (libjpeg's triangle filter)
    replicate,  // as if first enlarged by repeating its samples
};

enum class TensorLayout : uint8_t { chw, hwc };
// All but float32 are rounded to nearest even. Values beyond +-65504 become +-65504 in float16, those beyond +-127 become +-127
// in int8. bfloat16 is the upper half of a float32 and has its range.
enum class TensorType : uint8_t { float32, float16, bfloat16, int8 };

// What of the image goes where: a box is resized, and a window of the result is kept. With `transpose`, rows and columns of the
// image are exchanged before anything else: the box is one of the transposed image. Flips are those of the window.
struct ResampleGeometry {
    uint32_t top = 0, left = 0, height = 0, width = 0;  // the box, in pixels of the full image; must lie inside it
    uint32_t resized_height = 0, resized_width = 0;     // what the box is resized to, at most max_resized_size
    // In pixels of the resized box; must lie inside it.
    uint32_t window_top = 0, window_left = 0, window_height = 0, window_width = 0;
    // Multiples of 8, at least the window's size, at most max_output_size. The window comes first; pixels below and right of it
    // are those that follow it in the resized box, whose edge is repeated.
    uint32_t output_height = 0, output_width = 0;
    bool transpose = false;
    bool horizontal_flip = false;
    bool vertical_flip = false;
    bool antialias = true;
    Filter filter = Filter::bilinear;
    ChromaResampling chroma = ChromaResampling::fancy;
};
constexpr uint32_t max_output_size = 65536;
constexpr uint32_t max_resized_size = 1 << 30;

// Makes the whole resized box the window; the output is as large, rounded up to multiples of 8.
void resize_whole_box(ResampleGeometry& geometry, uint32_t height, uint32_t width);

// channels[k] = 64 * component + 8 * v + u is what the output's channel k holds, as coefficient * scale[k] + shift[k]; of a
// 12-bit image as coefficient / 16 * scale[k] + shift[k].
// A component that the image does not have is all zero coefficients (the chroma of a grey image).
struct TensorSpec {
    const uint16_t* channels = nullptr;
    const float* scale = nullptr;
    const float* shift = nullptr;
    uint32_t channel_count = 0;
    TensorLayout layout = TensorLayout::chw;
    TensorType type = TensorType::float32;
    // A hint: use non-temporal stores. They pay for output that is larger than the caches and not read at once.
    bool stream = false;
};
constexpr uint32_t max_tensor_channels = 64 * max_components;

// Scratch of one thread, reused between images. Opaque: resample.cpp.
class Resampler {
public:
    Resampler() = default;
    ~Resampler();
    Resampler(const Resampler&) = delete;
    Resampler& operator=(const Resampler&) = delete;

    // Fills `out`: channel_count * (output_height / 8) * (output_width / 8) values in the layout and type of `spec`, aligned
    // to their own size. planes[c] and tables[c] as in Output, whose needed_only means blocks_needed() here; no other blocks are
    // read. Nothing is written where the Status is not ok: a geometry or spec outside its bounds, or no memory for the scratch.
    Status resample(const Header& header, const int16_t* const planes[], const uint16_t (*tables)[64],
                    const ResampleGeometry& geometry, const TensorSpec& spec, void* out, bool needed_only = false);

    // resample() of an image that Decoder::read_rows() decodes: no plane is needed where every component that `spec` asks for
    // shrinks so much that its samples are not either. begin_rows() comes at the first rows, when the tables are known,
    // add_rows() whenever there are more, with the same output, and finish_rows() after the last.
    static bool takes_rows(const Header& header, const ResampleGeometry& geometry, const TensorSpec& spec);
    Status begin_rows(const Header& header, const Output& output, const ResampleGeometry& geometry,
                      const TensorSpec& spec);
    void add_rows(int component, uint32_t block_row_end);
    Status finish_rows(const Header& header, const ResampleGeometry& geometry, const TensorSpec& spec, void* out);

    // Fills, in the tensor of a whole image on its luma grid (ceil(height / 8) rows and ceil(width / 8) columns of blocks), the
    // channels of every component that has a lower resolution than that: the block DCT of its plane upsampled to full
    // resolution, where the component's last row and column of samples are repeated as far as the grid reaches. Channels of
    // other components are left alone. `chroma` is fancy or replicate. Memory and failures as for resample().
    Status upsample(const Header& header, const int16_t* const planes[], const uint16_t (*tables)[64],
                    ChromaResampling chroma, const TensorSpec& spec, void* out);

private:
    Status run(const Header& header, const int16_t* const planes[], const uint16_t (*tables)[64],
               const ResampleGeometry& geometry, const TensorSpec& spec, const bool (&wanted)[max_components],
               void* out, bool needed_only);
    bool reserve(size_t size);
    bool begin_reduction(const Header& header, const int16_t* plane, uint32_t held_mcu_rows, const uint16_t* table,
                         int component, const ResampleGeometry& geometry, bool needed_only);

    class Reducer* reducers_ = nullptr;  // of each component, once one is needed
    bool reduced_[max_components] = {};  // whose image begin_rows() and add_rows() have made
    class GridTaps* grids_ = nullptr;    // of the horizontal and the vertical axis
    uint8_t* scratch_ = nullptr;
    size_t scratch_size_ = 0;
};

// Whether a component has a lower resolution than the luma grid along either axis: what Resampler::upsample() fills.
bool is_subsampled(const Header& header, int component);

// Turns `count` blocks of 64 coefficients into 64 planes, one per frequency: planes[k * count + i] = blocks[i * 64 + k].
// Of these, only the planes k = 8 * v + u are filled for which bit v of `rows` is set.
void split_frequencies(const int16_t* blocks, size_t count, uint8_t rows, int16_t* planes);

// Whether a tensor can be made of the image: luma and chroma have to be where TensorSpec expects them. Of YCCK images only
// the luma can be used.
Status check_color(const Header& header, bool luma_only);
bool takes_luma_only(const TensorSpec& spec);

// What a dequantized coefficient is multiplied by, so that tensors have the grey levels of 8 bits: 1, or 1/16 for 12 bits.
double grey_level(const Header& header);

// Whether an EXIF orientation exchanges rows and columns.
constexpr bool is_transposed(uint8_t orientation) { return orientation >= 5 && orientation <= 8; }

// `geometry` is given in rows and columns of the upright image, as header.orientation turns it (EXIF 0x0112); returns it in
// those of the stored one. check_geometry() of the result tells whether the box was inside.
ResampleGeometry upright(const Header& header, ResampleGeometry geometry);

// Whether resample() would refuse the geometry.
Status check_geometry(const Header& header, const ResampleGeometry& geometry);

// How many MCU rows, from the top, hold everything that a checked geometry reads: for Output::mcu_rows.
uint32_t mcu_rows_needed(const Header& header, const ResampleGeometry& geometry);

// All blocks of a component that a checked geometry reads: for Output::needed.
BlockRange blocks_needed(const Header& header, const ResampleGeometry& geometry, int component);

}  // namespace jpegfreq
