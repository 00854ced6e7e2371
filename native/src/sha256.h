// SHA-256 side by side: each message in one 32-bit lane of vectors.
#pragma once

#include "jpegfreq_hash.h"

namespace jpegfreq {

constexpr int hash_lanes = 16;

// The eight words of each lane's state; aligned to 64 bytes.
using HashState = uint32_t[8][hash_lanes];

// Adds `blocks` blocks of 64 bytes to the state of every lane, each from its own place.
using HashBlocks = void (*)(HashState& state, const uint8_t* const (&places)[hash_lanes], size_t blocks);

void hash_blocks_avx512(HashState& state, const uint8_t* const (&places)[hash_lanes], size_t blocks);

extern const uint32_t sha256_constants[64];

}  // namespace jpegfreq
