// read_header and read_structure on any bytes.
#include "harness.h"
#include "jpegfreq_structure.h"

using namespace jpegfreq;

namespace {

class Visitor : public StructureVisitor {
public:
    explicit Visitor(uint64_t size) : size_(size) {}

    void segment(const Segment& segment) override {
        fuzz::require(segment.offset_bytes + segment.size_bytes <= size_, "a segment stands in the file");
    }

    void scan(const ScanStructure& scan) override {
        fuzz::require(scan.data_offset_bytes + scan.data_size_bytes <= size_, "a scan stands in the file");
        for (int i = 0; i < scan.huffman_table_count; i++)
            for (int k = 0; k < scan.huffman_tables[i].value_count; k++) sum_ += scan.huffman_tables[i].values[k];
    }

    void quantization_table(int, const uint16_t* table) override {
        for (int k = 0; k < 64; k++) sum_ += table[k];
    }

private:
    const uint64_t size_;
    volatile uint64_t sum_ = 0;  // every value is read
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Bytes jpeg;
    jpeg.data = data;
    jpeg.size = size;
    Header header;
    const Status status = read_header(jpeg, header);
    fuzz::require_sound(status, size);
    if (!status.ok()) return 0;
    fuzz::require(header.height >= 1 && header.height <= 65535 && header.width >= 1 && header.width <= 65535, "a size");
    fuzz::require(header.component_count >= 1 && header.component_count <= max_components, "a component count");
    fuzz::require(header.orientation >= 1 && header.orientation <= 8, "an orientation");
    for (int c = 0; c < header.component_count; c++) {
        const Component& component = header.components[c];
        fuzz::require(component.blocks_wide >= 1 && component.blocks_wide <= 8192, "blocks wide");
        fuzz::require(component.blocks_high >= 1 && component.blocks_high <= 8192, "blocks high");
    }
    Visitor visitor(size);
    fuzz::require_sound(read_structure(jpeg, header, Limits(), visitor), size);
    return 0;
}
