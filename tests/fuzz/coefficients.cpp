// Decoder::read_coefficients, all processes: every coefficient is written, alike by a used decoder and a fresh one; limits
// and early stops change nothing else.
#include <algorithm>
#include <cstring>

#include "harness.h"

using namespace jpegfreq;

namespace {

// Copies each row of blocks out of the planes that read_rows() goes around in.
class CopyRows : public RowSink {
public:
    CopyRows(const Header& header, Output& whole) : header_(header), whole_(whole) {}

    void rows(const Output& output, int c, uint32_t end) override {
        const Component& component = header_.components[c];
        const uint32_t high = header_.component_count == 1 ? 1 : component.vertical_sampling_factor;
        const uint32_t held = output.held_mcu_rows * high;
        fuzz::require(end >= rows_[c] && end - rows_[c] <= held && end <= component.blocks_high,
                      "rows come before they are overwritten");
        const size_t row_size = size_t(64) * component.blocks_wide;
        for (; rows_[c] < end; rows_[c]++)
            std::memcpy(whole_.planes[c] + rows_[c] * row_size, output.planes[c] + rows_[c] % held * row_size,
                        row_size * sizeof(int16_t));
    }

private:
    const Header& header_;
    Output& whole_;
    uint32_t rows_[max_components] = {};
};

// read_rows() takes nothing but sound files, and gives the same coefficients.
void check_rows(Bytes jpeg, const Header& header, const Limits& limits, const Status& status,
                const fuzz::Planes& expected, Decoder& decoder) {
    fuzz::Planes rows(header, 0x5A), whole(header, 0xA5);
    // A plane holds blocks_high rows, so no more rows of MCUs than fit in every one.
    uint32_t held = UINT32_MAX;
    for (int c = 0; c < header.component_count; c++) {
        const Component& component = header.components[c];
        held = std::min(
            held, component.blocks_high / (header.component_count == 1 ? 1u : component.vertical_sampling_factor));
    }
    if (held == 0) return;
    rows.output.held_mcu_rows = 1 + uint32_t(fuzz::hash(jpeg) >> 8) % std::min(held, 9u);
    CopyRows sink(header, whole.output);
    if (!decoder.read_rows(jpeg, header, limits, rows.output, sink)) return;
    fuzz::require(status.ok(), "only sound files are read row by row");
    std::memcpy(whole.output.quantization_tables, rows.output.quantization_tables,
                sizeof rows.output.quantization_tables);
    fuzz::require(whole == expected, "row by row come the same coefficients");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static Decoder used;
    Bytes jpeg;
    jpeg.data = data;
    jpeg.size = size;
    Header header;
    if (!fuzz::read_promise(jpeg, header).ok()) return 0;
    Limits limits;
    limits.max_pixels = fuzz::max_pixels;

    fuzz::Planes first(header, 0x00), second(header, 0xA5);
    const Status status = used.read_coefficients(jpeg, header, limits, first.output);
    fuzz::require_sound(status, size);
    fuzz::note(first);
    // A fresh decoder costs more than a small image's decoding; a used one must not tell them apart.
    Decoder* const fresh = fuzz::hash(jpeg) % 4 == 0 ? new Decoder : &used;
    fuzz::require_equal(fresh->read_coefficients(jpeg, header, limits, second.output), status, "the same Status again");
    fuzz::require(first == second, "every coefficient is written, and the same ones again");
    if (fresh != &used) delete fresh;

    const Span<const Status> damages = used.damages();
    fuzz::require(damages.size <= max_damages && (damages.size > 0) == !status.ok(), "a fault is listed");
    for (size_t i = 0; i < damages.size; i++) fuzz::require_sound(damages.data[i], size);
    if (!status.ok()) fuzz::require_equal(damages.data[0], status, "the first fault is the Status");

    check_rows(jpeg, header, limits, status, first, used);

    fuzz::Planes early(header, 0xA5);
    early.output.mcu_rows = 1 + uint32_t(size % 3);
    const Status early_status = used.read_coefficients(jpeg, header, limits, early.output);
    fuzz::require_sound(early_status, size);
    if (status.ok() && fuzz::has_one_scan(jpeg)) {
        fuzz::require(early_status.ok(), "a sound file's beginning is sound");
        fuzz::require(early == first || early.begins_like(first, header, early.output.mcu_rows),
                      "an early stop's rows");
    }

    limits.max_scans = 2;
    fuzz::Planes few(header, 0xA5);
    const Status few_status = used.read_coefficients(jpeg, header, limits, few.output);
    fuzz::require_sound(few_status, size);
    if (few_status.ok()) fuzz::require(few == first, "a limit that is not reached changes nothing");

    limits.max_pixels = uint64_t(header.height) * header.width - 1;
    fuzz::require(used.read_coefficients(jpeg, header, limits, few.output).code == Code::unsupported,
                  "max_pixels holds");
    return 0;
}
