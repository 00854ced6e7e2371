#include <cstdlib>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "bindings.h"

namespace jpegfreq::python {

namespace {

constexpr size_t alignment = 64;  // a cache line, and the widest vector

#if defined(__linux__)
// From here on fresh zero pages from the system beat the allocator, and huge pages save most of their faults.
constexpr size_t map_from_bytes = size_t(4) << 20;
constexpr size_t huge_page = size_t(2) << 20;
#endif

}  // namespace

std::unique_ptr<PlaneMemory> PlaneMemory::allocate(size_t size_bytes) {
    std::unique_ptr<PlaneMemory> memory(new (std::nothrow) PlaneMemory);
    if (!memory) return nullptr;
    memory->size_bytes_ = size_bytes;
#if defined(__linux__)
    if (size_bytes >= map_from_bytes) {
        if (size_bytes > SIZE_MAX - huge_page) return nullptr;
        memory->mapping_size_ = size_bytes + huge_page;
        void* mapping = mmap(nullptr, memory->mapping_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapping == MAP_FAILED) return nullptr;
        memory->mapping_ = mapping;
        const uintptr_t start = (reinterpret_cast<uintptr_t>(mapping) + huge_page - 1) & ~(huge_page - 1);
        memory->data_ = reinterpret_cast<uint8_t*>(start);
        madvise(memory->data_, size_bytes & ~(huge_page - 1), MADV_HUGEPAGE);  // only advice: small pages serve as well
        return memory;
    }
#endif
    void* data = nullptr;
    if (posix_memalign(&data, alignment, size_bytes > 0 ? size_bytes : alignment) != 0) return nullptr;
    memory->data_ = static_cast<uint8_t*>(data);
    return memory;
}

PlaneMemory::~PlaneMemory() {
#if defined(__linux__)
    if (mapping_ != nullptr) {
        munmap(mapping_, mapping_size_);
        return;
    }
#endif
    std::free(data_);
}

Status allocate_planes(Bytes jpeg, const Header& header, const Limits& limits, bool keep_damage, std::unique_ptr<PlaneMemory>& memory,
                       Output& output) {
    const Status status = check_promise(jpeg, header, limits);
    if (!status.ok() && !(keep_damage && is_damage(status))) return status;
    // Each side of a plane is at most 8192 blocks, so that four planes of them fit in 64 bits.
    uint64_t size_bytes = 0;
    for (int c = 0; c < header.component_count; c++) {
        size_bytes += uint64_t(header.components[c].blocks_high) * header.components[c].blocks_wide * 128;
    }
    if (size_bytes <= SIZE_MAX / 2) memory = PlaneMemory::allocate(static_cast<size_t>(size_bytes));
    if (!memory) return {Code::out_of_memory, "SOF", "no room for {} bytes of coefficients", "", header.frame_offset_bytes,
                         static_cast<int64_t>(size_bytes)};
    uint8_t* next = memory->data();
    for (int c = 0; c < header.component_count; c++) {
        output.planes[c] = reinterpret_cast<int16_t*>(next);
        next += size_t(header.components[c].blocks_high) * header.components[c].blocks_wide * 128;
    }
    return {};
}

}  // namespace jpegfreq::python
