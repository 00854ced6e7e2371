#include "unstuff.h"

#include <cstring>

#include "dispatch.h"

namespace jpegfreq {

size_t copy_to_ff_generic(const uint8_t* in, const uint8_t* end, uint8_t* out) {
    const uint8_t* p = in;
    while (end - p >= 8) {
        uint64_t word;
        std::memcpy(&word, p, 8);
        std::memcpy(out, &word, 8);
        const uint64_t inverted = ~word;
        if ((inverted - 0x0101010101010101u) & word & 0x8080808080808080u) break;  // a zero byte in ~word
        p += 8;
        out += 8;
    }
    while (p < end && *p != 0xFF) *out++ = *p++;
    return size_t(p - in);
}

namespace {

size_t copy_to_ff(const uint8_t* in, const uint8_t* end, uint8_t* out, bool avx2) {
#if defined(__x86_64__)
    if (avx2) return copy_to_ff_avx2(in, end, out);
#endif
    (void)avx2;
    return copy_to_ff_generic(in, end, out);
}

}  // namespace

bool unstuff(Bytes jpeg, uint64_t begin, bool restarts, Unstuffed& out) {
    const bool avx2 = use_avx2();
    const size_t size = jpeg.size - begin;
    if (size > UINT32_MAX - unstuffed_padding || !out.bytes.reserve(size + unstuffed_padding)) return false;
    // Each segment but the last takes a marker of 2 bytes.
    if (!out.segments.reserve((restarts ? size / 2 : 0) + 2)) return false;
    const uint8_t* in = jpeg.data + begin;
    const uint8_t* const end = jpeg.data + jpeg.size;
    uint8_t* to = out.bytes.data();
    out.begin = begin;
    out.wrong_restart = false;
    out.segments[0] = 0;
    uint32_t segments = 1;
    while (true) {
        const size_t run = copy_to_ff(in, end, to, avx2);
        in += run;
        to += run;
        if (in == end) break;
        const uint8_t* after = in + 1;
        while (after < end && *after == 0xFF) after++;  // B.1.1.2: fill bytes
        if (after == end) {
            in = end;
            break;
        }
        if (*after == 0) {
            *to++ = 0xFF;
            in = after + 1;
        } else if (restarts && (*after & 0xF8) == 0xD0) {
            if ((*after & 7) != ((segments - 1) & 7)) {
                out.wrong_restart = true;
                in = after - 1;
                break;
            }
            out.segments[segments++] = uint32_t(to - out.bytes.data());
            in = after + 1;
        } else {
            in = after - 1;
            break;
        }
    }
    out.segments[segments] = uint32_t(to - out.bytes.data());
    out.segment_count = segments;
    out.end = uint64_t(in - jpeg.data);
    std::memset(to, 0, unstuffed_padding);
    return true;
}

uint64_t file_offset(Bytes jpeg, const Unstuffed& out, uint64_t position) {
    const uint8_t* data = jpeg.data;
    uint64_t at = out.begin;
    for (uint64_t i = 0; i < position && at < out.end; i++) {
        if (data[at] != 0xFF) {
            at++;
            continue;
        }
        uint64_t after = at + 1;
        while (after < out.end && data[after] == 0xFF) after++;
        if (after < out.end && data[after] != 0) i--;  // a restart marker: no byte of the copy
        at = after + 1;
    }
    return at < out.end ? at : out.end;
}

}  // namespace jpegfreq
