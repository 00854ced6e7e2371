#include "bindings.h"
#include "plane_pool.h"

namespace jpegfreq::python {

std::unique_ptr<PlaneMemory> PlaneMemory::allocate(size_t size_bytes, bool of_thread) {
    std::unique_ptr<PlaneMemory> memory(new (std::nothrow) PlaneMemory);
    if (!memory) return nullptr;
    memory->data_ = pool_allocate(size_bytes, of_thread);
    memory->size_bytes_ = size_bytes;
    return memory->data_ != nullptr ? std::move(memory) : nullptr;
}

PlaneMemory::~PlaneMemory() { pool_free(data_, size_bytes_); }

static size_t plane_bytes(const Header& header, int component, const Output& output) {
    const Component& c = header.components[component];
    const BlockRange& needed = output.needed[component];
    if (output.needed_only)
        return size_t(needed.row_end - needed.row_begin) * (needed.column_end - needed.column_begin) * 128;
    const uint32_t rows = output.held_mcu_rows ? output.held_mcu_rows * mcu_height(header, component) : c.blocks_high;
    return size_t(rows) * c.blocks_wide * 128;
}

Status allocate_planes(Bytes jpeg, const Header& header, const Limits& limits, bool keep_damage,
                       std::unique_ptr<PlaneMemory>& memory, Output& output) {
    const Status status = check_promise(jpeg, header, limits);
    if (!status.ok() && !(keep_damage && is_damage(status))) return status;
    // Each side of a plane is at most 8192 blocks, so that four planes of them fit in 64 bits.
    uint64_t size_bytes = 0;
    for (int c = 0; c < header.component_count; c++) {
        size_bytes += plane_bytes(header, c, output);
    }
    // Planes of a crop are dropped by the thread that decoded them.
    if (size_bytes <= SIZE_MAX / 2) memory = PlaneMemory::allocate(static_cast<size_t>(size_bytes), output.needed_only);
    if (!memory)
        return {Code::out_of_memory,
                "SOF",
                "no room for {} bytes of coefficients",
                "",
                header.frame_offset_bytes,
                static_cast<int64_t>(size_bytes)};
    uint8_t* next = memory->data();
    for (int c = 0; c < header.component_count; c++) {
        int16_t* const blocks = reinterpret_cast<int16_t*>(next);
        output.planes[c] = output.needed_only ? plane_of(blocks, output.needed[c]) : blocks;
        next += plane_bytes(header, c, output);
    }
    return {};
}

}  // namespace jpegfreq::python
