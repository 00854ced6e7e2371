// EXIF 2.3, 4.6.4.
#include "exif.h"

#include <cstring>

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
    // Where the first value of a directory entry stands, for the types that Pillow takes for integers; size 0 for any other
    // entry.
    struct Place {
        uint64_t at = 0;
        uint64_t size = 0;
    };
    Place integer(uint64_t entry) const {
        const uint16_t type = uint16_t(u16(entry + 2));
        const uint64_t count = u32(entry + 4);
        const uint64_t size = type == SBYTE                     ? 1
                              : type == SHORT || type == SSHORT ? 2
                              : type == LONG || type == SLONG   ? 4
                                                                : 0;
        if (size == 0 || count == 0) return {};
        const uint64_t at = size * count <= 4 ? entry + 8 : u32(entry + 8);
        if (at + size * count > bytes_.size) return {};
        return {at, size};
    }
    // A negative value becomes large, which no orientation is.
    uint32_t value(Place place) const {
        return place.size == 0   ? 0
               : place.size == 1 ? bytes_.data[place.at]
               : place.size == 2 ? u16(place.at)
                                 : u32(place.at);
    }
    // The first entry of IFD 0 with the orientation's tag.
    Place orientation() const {
        const uint64_t directory = u32(4);
        if (directory + 2 > bytes_.size) return {};
        const uint32_t entries = u16(directory);
        for (uint64_t i = 0, at = directory + 2; i < entries && at + 12 <= bytes_.size; i++, at += 12)
            if (u16(at) == 0x0112) return integer(at);
        return {};
    }
    // Of the one byte of a value below 256.
    uint64_t low_byte(Place place) const { return little_ ? place.at : place.at + place.size - 1; }

private:
    Bytes bytes_;
    bool little_ = false;
};

}  // namespace

uint8_t read_orientation(Bytes bytes) {
    Tiff tiff(bytes);
    if (!tiff.has_header()) return 1;
    const uint32_t value = tiff.value(tiff.orientation());
    return value >= 1 && value <= 8 ? uint8_t(value) : 1;
}

bool set_orientation(Span<uint8_t> bytes, uint8_t orientation) {
    Tiff tiff({bytes.data, bytes.size});
    if (!tiff.has_header()) return false;
    const Tiff::Place place = tiff.orientation();
    if (place.size == 0) return false;
    std::memset(bytes.data + place.at, 0, place.size);
    bytes.data[tiff.low_byte(place)] = orientation;
    return true;
}

}  // namespace jpegfreq
