#include "restart_order.h"

#include <cstring>

namespace jpegfreq {

uint64_t find_restart(Bytes jpeg, uint64_t offset_bytes) {
    while (offset_bytes + 1 < jpeg.size) {
        const void* hit = std::memchr(jpeg.data + offset_bytes, 0xFF, jpeg.size - 1 - offset_bytes);
        if (!hit) break;
        offset_bytes = uint64_t(static_cast<const uint8_t*>(hit) - jpeg.data);
        const uint8_t code = jpeg.data[offset_bytes + 1];
        if (is_restart(code)) return offset_bytes;
        // A scan ends before these. Damaged data can hold the other codes, so the search continues past them.
        if (code == SOI || code == EOI || code == SOS || code == DHT || code == DAC || code == DQT || code == DNL)
            break;
        offset_bytes += code == 0xFF ? 1 : 2;
    }
    return jpeg.size;
}

uint64_t interval_after(Bytes jpeg, uint64_t offset_bytes, uint64_t expected, uint64_t interval_count) {
    if (expected >= interval_count) return no_interval;
    const unsigned number = jpeg.data[offset_bytes + 1] & 7;
    const unsigned due = (expected - 1) & 7;
    if (number == due) return expected;
    const uint64_t after = find_restart(jpeg, offset_bytes + 2);
    const uint64_t skipping = expected + ((number - due) & 7);
    if (after == jpeg.size) return skipping < interval_count ? skipping : expected;
    const unsigned next = jpeg.data[after + 1] & 7;
    if (next == ((due + 1) & 7)) return expected;
    if (next == due || skipping >= interval_count) return no_interval;
    return skipping;
}

}  // namespace jpegfreq
