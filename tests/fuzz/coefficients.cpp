// Decoder::read_coefficients, all processes: every coefficient is written, alike by a used decoder and a fresh one; limits
// and early stops change nothing else.
#include "harness.h"

using namespace jpegfreq;

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
