#include "sha256.h"

#include <algorithm>
#include <cstring>

#include "dispatch.h"

namespace jpegfreq {

// FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes.
const uint32_t sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

namespace {

// FIPS 180-4, 5.3.3.
constexpr uint32_t first_state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
constexpr size_t block_bytes = 64;

// A block of all 16 lanes takes as long as six or seven blocks with the SHA instructions (Zen 5). So no message may be so long that
// fewer than eight lanes are at work, on average, until it ends.
constexpr size_t fewest_lanes = 8;

// One lane's message: its whole blocks, then one or two blocks with its last bytes and its length (FIPS 180-4, 5.1.1).
class MessageLane {
public:
    bool is_idle() const { return message_ == nullptr; }
    size_t blocks() const { return blocks_; }
    const uint8_t* place() const { return place_; }

    void begin(HashedMessage& message, HashState& state, int lane) {
        message_ = &message;
        place_ = message.bytes.data;
        blocks_ = message.bytes.size / block_bytes;
        end_is_next_ = true;
        for (int i = 0; i < 8; i++) state[i][lane] = first_state[i];
        if (blocks_ == 0) go_to_end();
    }

    // Goes on by some blocks, which have been hashed. Returns whether the message is complete.
    bool advance(size_t blocks) {
        place_ += blocks * block_bytes;
        blocks_ -= blocks;
        if (blocks_ > 0) return false;
        if (!end_is_next_) return true;
        go_to_end();
        return false;
    }

    void finish(const HashState& state, int lane) {
        for (int i = 0; i < 8; i++) {
            for (int byte = 0; byte < 4; byte++)
                message_->digest[4 * i + byte] = uint8_t(state[i][lane] >> (24 - 8 * byte));
        }
        message_->is_hashed = true;
        message_ = nullptr;
    }

private:
    void go_to_end() {
        const Bytes bytes = message_->bytes;
        const size_t rest = bytes.size % block_bytes;
        blocks_ = rest < block_bytes - 8 ? 1 : 2;
        std::memset(end_, 0, sizeof end_);
        if (rest > 0) std::memcpy(end_, bytes.data + bytes.size - rest, rest);
        end_[rest] = 0x80;
        for (int byte = 0; byte < 8; byte++)
            end_[blocks_ * block_bytes - 1 - byte] = uint8_t(uint64_t(bytes.size) * 8 >> (8 * byte));
        place_ = end_;
        end_is_next_ = false;
    }

    HashedMessage* message_ = nullptr;
    const uint8_t* place_ = nullptr;
    size_t blocks_ = 0;  // from `place_` on
    bool end_is_next_ = false;
    uint8_t end_[2 * block_bytes];
};

size_t block_count(const HashedMessage& message) { return message.bytes.size / block_bytes + 1; }

// Leaves out the longest messages until the rest keep enough lanes at work. They are sorted, the longest first.
Span<HashedMessage> worth_hashing(Span<HashedMessage> messages) {
    size_t sum = 0;
    for (size_t i = 0; i < messages.size; i++) sum += block_count(messages.data[i]);
    size_t first = 0;
    for (; first < messages.size && block_count(messages.data[first]) > sum / fewest_lanes; first++)
        sum -= block_count(messages.data[first]);
    return {messages.data + first, messages.size - first};
}

}  // namespace

void sha256_side_by_side(Span<HashedMessage> messages) {
    const HashBlocks hash_blocks = kernels().hash_blocks;
    for (size_t i = 0; i < messages.size; i++) messages.data[i].is_hashed = false;
    if (hash_blocks == nullptr) return;
    // The longest first, so that all lanes end at about the same time.
    std::sort(messages.data, messages.data + messages.size,
              [](const HashedMessage& a, const HashedMessage& b) { return a.bytes.size > b.bytes.size; });
    const Span<HashedMessage> wanted = worth_hashing(messages);
    alignas(64) HashState state = {};
    MessageLane lanes[hash_lanes];
    size_t begun = 0, finished = 0;
    for (int l = 0; l < hash_lanes && begun < wanted.size; l++) lanes[l].begin(wanted.data[begun++], state, l);
    while (finished < wanted.size) {
        const MessageLane* shortest = nullptr;
        for (const MessageLane& lane : lanes)
            if (!lane.is_idle() && (shortest == nullptr || lane.blocks() < shortest->blocks())) shortest = &lane;
        const size_t blocks = shortest->blocks();
        const uint8_t* places[hash_lanes];
        for (int l = 0; l < hash_lanes; l++) places[l] = (lanes[l].is_idle() ? *shortest : lanes[l]).place();
        hash_blocks(state, places, blocks);
        for (int l = 0; l < hash_lanes; l++) {
            if (lanes[l].is_idle() || !lanes[l].advance(blocks)) continue;
            lanes[l].finish(state, l);
            finished++;
            if (begun < wanted.size) lanes[l].begin(wanted.data[begun++], state, l);
        }
    }
}

}  // namespace jpegfreq
