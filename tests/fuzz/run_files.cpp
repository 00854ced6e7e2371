// Runs a fuzz target once on each file named on standard input, one path a line. Prints the slowest, a checksum of all
// coefficients, and sums of all tensors' values.
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <string>

#include "harness.h"

int main() {
    std::string path, slowest;
    double slowest_seconds = 0;
    int files = 0;
    uint64_t checksum = 0;
    fuzz::checksum = &checksum;
    fuzz::WeightedSums sums;
    fuzz::sums = &sums;
    for (int c; (c = std::getchar()) != EOF;) {
        if (c != '\n') {
            path += char(c);
            continue;
        }
        std::FILE* file = std::fopen(path.c_str(), "rb");
        if (!file) {
            std::perror(path.c_str());
            return 2;
        }
        std::vector<uint8_t> data;
        uint8_t part[1 << 14];
        for (size_t size; (size = std::fread(part, 1, sizeof part, file)) != 0;)
            data.insert(data.end(), part, part + size);
        std::fclose(file);
        std::fprintf(stderr, "%s\n", path.c_str());  // the last line before a crash names the file
        const fuzz::ExactBytes exact(data.data(), data.size());
        const auto begin = std::chrono::steady_clock::now();
        LLVMFuzzerTestOneInput(exact.bytes().data, data.size());
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        if (seconds > slowest_seconds) {
            slowest_seconds = seconds;
            slowest = path;
        }
        files++;
        path.clear();
    }
    std::printf("%d files, checksum %016" PRIx64 ", the slowest %.3f s: %s\n", files, checksum, slowest_seconds,
                slowest.c_str());
    for (int type = 0; type < 4; type++)
        std::printf("%.17g of %.17g\n", sums.of_values[type], sums.of_magnitudes[type]);
    return 0;
}
