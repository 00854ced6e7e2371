// SHA-256 (FIPS 180-4) of many messages at once.
#pragma once

#include "jpegfreq.h"

namespace jpegfreq {

struct HashedMessage {
    Bytes bytes;
    size_t index;  // the caller's
    bool is_hashed;
    uint8_t digest[32];
};

// Hashes the messages for which this is faster than a library that hashes one after the other, and sorts them all by size. It is
// faster where vectors of 16 lanes exist and enough of them have something to do; `is_hashed` is false for the others.
void sha256_side_by_side(Span<HashedMessage> messages);

}  // namespace jpegfreq
