// Where the memory of planes comes from.
//
// Images come and go by the hundred, a megabyte each, on several threads. Page faults would then cost as much as decoding:
// the system's allocator touches fresh 4 KB pages for every batch. So planes are cut from large regions of huge pages, and
// a few empty regions are kept for the next images (the system may take their pages back at any time).
#pragma once

#include <cstddef>
#include <cstdint>

namespace jpegfreq::python {

// 64-byte aligned and not zeroed; nullptr if there is no memory. Any thread may allocate, and any other free. `of_thread`: as far
// as possible memory that no other thread uses, for what a thread writes and drops again and again. It takes up to 2 MB more
// per thread.
uint8_t* pool_allocate(size_t size_bytes, bool of_thread);
void pool_free(uint8_t* data, size_t size_bytes);

}  // namespace jpegfreq::python
