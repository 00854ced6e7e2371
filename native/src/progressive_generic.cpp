#include "progressive_kernels.h"

namespace jpegfreq {
namespace {

// Zeros are found in a list, which is made from the map eight coefficients at a time.
struct BytePlaces {
    uint8_t places[256][8] = {};  // of the bits that are set
    uint8_t count[256] = {};
    constexpr BytePlaces() {
        for (int byte = 0; byte < 256; byte++)
            for (int bit = 0; bit < 8; bit++)
                if (byte >> bit & 1) places[byte][count[byte]++] = uint8_t(bit);
    }
};
constexpr BytePlaces byte_places;

struct PlainOps {
    // Blocks are in natural order from the start.
    static uint32_t place(uint32_t k) { return natural_order[k]; }

    // Without an instruction of its own, __builtin_popcountll is a call.
    static uint32_t count(uint64_t bits) {
        bits -= bits >> 1 & 0x5555555555555555;
        bits = (bits & 0x3333333333333333) + (bits >> 2 & 0x3333333333333333);
        bits = (bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0F;
        return uint32_t(bits * 0x0101010101010101 >> 56);
    }

    class Zeros {
    public:
        explicit Zeros(uint64_t places) {
            uint8_t* end = list_;
            for (uint64_t first = 0; first < 64; first += 8, places >>= 8) {
                const uint64_t eight = load64(byte_places.places[places & 255]) + first * 0x0101010101010101;
                std::memcpy(end, &eight, 8);
                end += byte_places.count[places & 255];
            }
            std::memset(end, 64, 16);
        }
        // A run passes at most 15 places, and none is asked for after an end of 64: so it stays within these 16.
        uint32_t pass(uint32_t entry) {
            at_ += entry >> refine_run_shift & 15;
            return *at_++;
        }

    private:
        uint8_t list_[64 + 16];
        const uint8_t* at_ = list_;
    };

    struct Block {
        int16_t* const block;
        const int16_t step;
        uint64_t added = 0;

        Block(int16_t* place, int16_t size) : block(place), step(size) {}
        // Coefficients of value 0, where a run of 16 zeros ends, are written too: that costs less than to tell them apart.
        void add(uint32_t k, uint32_t entry) {
            const int32_t negative = -int32_t(entry / refine_negative & 1), is_new = int32_t(entry / refine_new & 1);
            block[place(k)] = int16_t(((step ^ negative) - negative) * is_new);
            added |= uint64_t(is_new) << k;
        }
        void take_back() {
            for (; added; added &= added - 1) block[place(uint32_t(__builtin_ctzll(added)))] = 0;
        }
        void correct(uint64_t corrections, uint64_t places) {
            for (; corrections; corrections >>= 1, places &= places - 1) {
                int16_t& value = block[place(uint32_t(__builtin_ctzll(places)))];
                const int32_t sign = value >> 15 | 1;
                value = int16_t(value + sign * step * int32_t(corrections & 1));
            }
        }
    };
};

// A loop of vectors, because compilers make `rep stos` of a memset of 128 bytes, which takes longer.
typedef int16_t Vector __attribute__((vector_size(16), aligned(2), may_alias));

void emit(int16_t* blocks, uint64_t* maps, const int16_t* dc, int16_t* plane, uint32_t count) {
    for (uint32_t b = 0; b < count; b++) {
        Vector* const from = reinterpret_cast<Vector*>(blocks + 64 * size_t(b));
        Vector* const to = reinterpret_cast<Vector*>(plane + 64 * size_t(b));
        for (int i = 0; i < 8; i++) {
            to[i] = from[i];
            from[i] = Vector{};
        }
        plane[64 * size_t(b)] = dc[b];
        maps[b] = 0;
    }
}

}  // namespace

const AcKernels ac_kernels_generic = {decode_first<PlainOps>, decode_refinement<PlainOps>, emit};

}  // namespace jpegfreq
