#include "huffman_codes.h"

#include <algorithm>
#include <cstring>

namespace jpegfreq {

namespace {

constexpr int most_leaves = 257;  // 256 symbols, and the one that keeps a code from being all ones (K.2)

// How many codes of each length the best tree has for `count` leaves, whose frequencies ascend. Each of the two queues,
// leaves and inner nodes, is in ascending order, so that the two smallest nodes are at the fronts.
void count_lengths(const uint64_t* leaves, int count, uint16_t* lengths) {
    uint64_t inner[most_leaves];
    uint16_t parent[2 * most_leaves] = {};  // leaves first, then inner nodes
    int leaf = 0, front = 0, made = 0;
    const auto take = [&] {
        const bool is_leaf = leaf < count && (front == made || leaves[leaf] <= inner[front]);
        return is_leaf ? leaf++ : count + front++;
    };
    const auto weight = [&](int node) { return node < count ? leaves[node] : inner[node - count]; };
    for (; made < count - 1; made++) {
        const int a = take(), b = take();
        inner[made] = weight(a) + weight(b);
        parent[a] = parent[b] = uint16_t(count + made);
    }
    uint16_t depth[2 * most_leaves];
    const int root = 2 * count - 2;
    depth[root] = 0;
    for (int node = root - 1; node >= 0; node--) {
        depth[node] = uint16_t(depth[parent[node]] + 1);
        if (node < count) lengths[depth[node]]++;
    }
}

// Figure K.3: no code is longer than 16 bits. Takes pairs of the longest codes: their prefix goes to one, and the other
// goes beside a shorter code, which becomes longer by a bit.
void limit_lengths(uint16_t* lengths) {
    for (int i = most_leaves; i > 16; i--) {
        while (lengths[i] > 0) {
            int j = i - 2;
            while (lengths[j] == 0) j--;
            lengths[i] = uint16_t(lengths[i] - 2);
            lengths[i - 1]++;
            lengths[j + 1] = uint16_t(lengths[j + 1] + 2);
            lengths[j]--;
        }
    }
}

}  // namespace

void optimal_spec(const uint32_t* counts, HuffmanSpec& spec) {
    uint64_t
        keys[most_leaves - 1];  // the count, then the symbol in reverse, so that symbols ascend where counts are equal
    int used = 0;
    for (int symbol = 0; symbol < 256; symbol++)
        if (counts[symbol]) keys[used++] = uint64_t(counts[symbol]) << 8 | uint64_t(255 - symbol);
    if (used == 0) keys[used++] = uint64_t(1) << 8 | 255;  // a table that no symbol needs still has one
    std::sort(keys, keys + used);
    uint64_t leaves[most_leaves];
    leaves[0] = 1;  // the code that is given to no symbol; it is among the longest
    for (int i = 0; i < used; i++) leaves[i + 1] = keys[i] >> 8;
    uint16_t lengths[most_leaves + 1] = {};
    count_lengths(leaves, used + 1, lengths);
    limit_lengths(lengths);
    int longest = 16;
    while (lengths[longest] == 0) longest--;
    lengths[longest]--;
    spec = HuffmanSpec();
    spec.defined = true;
    spec.value_count = uint16_t(used);
    for (int i = 1; i <= 16; i++) spec.code_counts[i - 1] = uint8_t(lengths[i]);
    for (int i = 0; i < used; i++) spec.values[i] = uint8_t(255 - (keys[used - 1 - i] & 255));
}

void assign_codes(const HuffmanSpec& spec, HuffmanCode* codes) {
    std::memset(codes, 0, 256 * sizeof *codes);
    uint32_t code = 0;
    int index = 0;
    for (int length = 1; length <= 16; length++) {
        for (int i = 0; i < spec.code_counts[length - 1]; i++, code++, index++)
            codes[spec.values[index]] = {uint16_t(code), uint8_t(length)};
        code <<= 1;
    }
}

}  // namespace jpegfreq
