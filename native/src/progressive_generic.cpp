#include "progressive_kernels.h"

namespace jpegfreq {
namespace {

// PDEP and the block update bit by bit.
struct PlainOps {
    static uint32_t count(uint64_t bits) { return uint32_t(__builtin_popcountll(bits)); }

    static uint64_t deposit(uint64_t bits, uint64_t places) {
        uint64_t dealt = 0;
        for (; places && bits; places &= places - 1, bits >>= 1) dealt |= (places & -places) & -(bits & 1);
        return dealt;
    }

    // Only the lowest mark counts; no code has none.
    static uint64_t deposit_marks(uint64_t bits, uint64_t places) {
        if (!bits) return 0;
        for (int run = __builtin_ctzll(bits); run > 0 && places; run--) places &= places - 1;
        return places;
    }

    static uint32_t lowest(uint64_t bits) { return bits ? uint32_t(__builtin_ctzll(bits)) : 64; }

    static void update(int16_t* block, uint64_t touched, uint64_t negative, int16_t step) {
        for (; touched; touched &= touched - 1) {
            const int k = __builtin_ctzll(touched);
            const bool down = block[k] < 0 || (negative >> k & 1);
            block[k] = int16_t(down ? block[k] - step : block[k] + step);
        }
    }
};

void emit(int16_t* blocks, uint64_t* maps, const int16_t* dc, int16_t* plane, uint32_t count) {
    for (uint32_t b = 0; b < count; b++) {
        int16_t* const block = blocks + 64 * size_t(b);
        int16_t* const out = plane + 64 * size_t(b);
        std::memset(out, 0, 64 * sizeof *out);
        out[0] = dc[b];
        for (uint64_t map = maps[b]; map; map &= map - 1) {
            const int k = __builtin_ctzll(map);
            out[natural_order[k]] = block[k];
            block[k] = 0;
        }
        maps[b] = 0;
    }
}

}  // namespace

const AcKernels ac_kernels_generic = {decode_first<PlainOps>, decode_refinement<PlainOps>, emit};

}  // namespace jpegfreq
