// EXIF 2.3, 4.6.4.
#include "exif.h"

namespace jpegfreq {

namespace {

enum Type : uint16_t { SHORT = 3, LONG = 4, SBYTE = 6, SSHORT = 8, SLONG = 9 };

class Tiff {
public:
    explicit Tiff(Bytes bytes) : bytes_(bytes) {}

    bool has_header() {
        if (bytes_.size < 8 || bytes_.data[0] != bytes_.data[1]) return false;
        little_ = bytes_.data[0] == 'I';
        return (little_ || bytes_.data[0] == 'M') && u16(2) == 42;
    }
    uint32_t u16(uint64_t at) const {
        const uint32_t first = bytes_.data[at], second = bytes_.data[at + 1];
        return little_ ? second << 8 | first : first << 8 | second;
    }
    uint32_t u32(uint64_t at) const { return little_ ? u16(at + 2) << 16 | u16(at) : u16(at) << 16 | u16(at + 2); }
    // The first value of a directory entry of the types that Pillow takes for integers; 0 for any other entry. A negative
    // value becomes large, which no orientation is.
    uint32_t integer(uint64_t entry) const {
        const uint16_t type = uint16_t(u16(entry + 2));
        const uint64_t count = u32(entry + 4);
        const uint64_t size = type == SBYTE                     ? 1
                              : type == SHORT || type == SSHORT ? 2
                              : type == LONG || type == SLONG   ? 4
                                                                : 0;
        if (size == 0 || count == 0) return 0;
        const uint64_t at = size * count <= 4 ? entry + 8 : u32(entry + 8);
        if (at + size * count > bytes_.size) return 0;
        return size == 1 ? bytes_.data[at] : size == 2 ? u16(at) : u32(at);
    }
    uint64_t size() const { return bytes_.size; }

private:
    Bytes bytes_;
    bool little_ = false;
};

}  // namespace

uint8_t read_orientation(Bytes bytes) {
    Tiff tiff(bytes);
    if (!tiff.has_header()) return 1;
    const uint64_t directory = tiff.u32(4);
    if (directory + 2 > tiff.size()) return 1;
    const uint32_t entries = tiff.u16(directory);
    for (uint64_t i = 0, at = directory + 2; i < entries && at + 12 <= tiff.size(); i++, at += 12) {
        if (tiff.u16(at) != 0x0112) continue;
        const uint32_t value = tiff.integer(at);
        return value >= 1 && value <= 8 ? uint8_t(value) : 1;
    }
    return 1;
}

}  // namespace jpegfreq
