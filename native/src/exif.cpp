// EXIF 2.3, 4.6.4.
#include "exif.h"

namespace jpegfreq {

namespace {

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
    // The value of a directory entry that holds one integer, of the types that Pillow reads as one; 0 for any other entry.
    // A negative value becomes large, which no orientation is.
    uint32_t integer(uint64_t entry) const {
        if (u32(entry + 4) != 1) return 0;
        switch (u16(entry + 2)) {
            case 3:                                 // SHORT
            case 8: return u16(entry + 8);          // SSHORT
            case 4:                                 // LONG
            case 9: return u32(entry + 8);          // SLONG
            case 6: return bytes_.data[entry + 8];  // SBYTE
            default: return 0;
        }
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
