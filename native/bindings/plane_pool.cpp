#include "plane_pool.h"

#include <cstdlib>

#if defined(__linux__)
#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>
#endif

namespace jpegfreq::python {

namespace {

constexpr size_t alignment = 64;  // a cache line, and the widest vector

constexpr size_t round_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

}  // namespace

#if defined(__linux__)

namespace {

constexpr size_t huge_page = size_t(2) << 20;
constexpr size_t region_bytes = size_t(32) << 20;
constexpr size_t kept_bytes = size_t(256) << 20;  // empty regions that wait for the next images, lent to the system

struct Range {
    size_t offset, size;
};

class Region {
public:
    explicit Region(size_t wanted) : size_(std::max(region_bytes, round_up(wanted, huge_page))) {
        void* mapping = mmap(nullptr, size_ + huge_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapping == MAP_FAILED) throw std::bad_alloc();
        mapping_ = mapping;
        start_ = reinterpret_cast<uint8_t*>(round_up(reinterpret_cast<uintptr_t>(mapping), huge_page));
        // Only advice: small pages serve as well. The end of a large image gets those, since a huge one would be filled in part.
        const size_t huge = wanted > region_bytes ? wanted / huge_page * huge_page : size_;
        madvise(start_, huge, MADV_HUGEPAGE);
        try {
            free_.push_back({0, size_});
        } catch (...) {
            munmap(mapping_, size_ + huge_page);
            throw;
        }
    }
    Region(const Region&) = delete;
    Region& operator=(const Region&) = delete;
    ~Region() { munmap(mapping_, size_ + huge_page); }

    size_t size() const { return size_; }
    bool is_empty() const { return pieces_ == 0; }
    bool holds(const uint8_t* data) const { return data >= start_ && data < start_ + size_; }

    bool has_room(size_t size) { return find(size) != free_.end(); }

    // There must be room.
    uint8_t* take(size_t size) {
        free_.reserve(pieces_ + 2);  // n pieces leave at most n + 1 ranges: so give_back() needs no memory
        const auto range = find(size);
        uint8_t* data = start_ + range->offset;
        range->offset += size;
        range->size -= size;
        if (range->size == 0) free_.erase(range);
        pieces_++;
        return data;
    }

    void give_back(const uint8_t* data, size_t size) {
        Range piece{static_cast<size_t>(data - start_), size};
        auto after = std::lower_bound(free_.begin(), free_.end(), piece.offset,
                                      [](const Range& range, size_t offset) { return range.offset < offset; });
        if (after != free_.end() && piece.offset + piece.size == after->offset) {
            piece.size += after->size;
            after = free_.erase(after);
        }
        if (after != free_.begin() && (after - 1)->offset + (after - 1)->size == piece.offset) {
            (after - 1)->size += piece.size;
        } else {
            free_.insert(after, piece);
        }
        pieces_--;
    }

    // The pages stay until the system needs them for something else. Not after every image: to lend small pages costs up to
    // a fifth of what decoding into them does, for each one's first write afterwards has to mark it as in use again.
    void lend_pages() {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_lent_ < std::chrono::milliseconds(100)) return;
        last_lent_ = now;
        madvise(start_, size_, MADV_FREE);
    }

    std::thread::id user;  // the thread that took memory last

private:
    std::vector<Range>::iterator find(size_t size) {
        return std::find_if(free_.begin(), free_.end(), [&](const Range& range) { return range.size >= size; });
    }

    size_t size_;
    void* mapping_ = nullptr;
    uint8_t* start_ = nullptr;
    size_t pieces_ = 0;
    std::chrono::steady_clock::time_point last_lent_;
    std::vector<Range> free_;  // by offset; no two touch
};

class Pool {
public:
    // A child of fork() must not find the lock held by a thread that it does not have.
    Pool() {
        pthread_atfork([] { pool().mutex_.lock(); }, [] { pool().mutex_.unlock(); }, [] { pool().mutex_.unlock(); });
    }

    static Pool& pool() {
        static Pool* pool = new Pool;  // never freed: arrays may outlive every static object
        return *pool;
    }

    uint8_t* allocate(size_t size, bool of_thread) {
        const std::lock_guard<std::mutex> lock(mutex_);
        Region& region = of_thread ? region_of_thread(size) : any_region(size);
        const bool was_empty = region.is_empty();
        uint8_t* data = region.take(size);
        if (was_empty) empty_bytes_ -= region.size();
        region.user = std::this_thread::get_id();
        return data;
    }

    void free(const uint8_t* data, size_t size) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto found =
            std::find_if(regions_.begin(), regions_.end(), [&](const auto& region) { return region->holds(data); });
        Region& region = **found;
        region.give_back(data, size);
        if (!region.is_empty()) return;
        if (empty_bytes_ + region.size() > kept_bytes) {
            regions_.erase(found);
        } else {
            empty_bytes_ += region.size();
            region.lend_pages();
        }
    }

private:
    Region& any_region(size_t size) {
        for (const std::unique_ptr<Region>& region : regions_)
            if (region->has_room(size)) return *region;
        return new_region(size);
    }

    // Memory that another thread has just written would have to be fetched from that core's caches. Once there is room in as many
    // regions of others as there are cores, a thread takes one of those.
    Region& region_of_thread(size_t size) {
        Region* empty = nullptr;
        Region* shared = nullptr;
        size_t shared_count = 0;
        for (const std::unique_ptr<Region>& region : regions_) {
            if (!region->has_room(size)) continue;
            if (region->user == std::this_thread::get_id()) return *region;
            if (region->is_empty()) {
                if (!empty) empty = region.get();
            } else if (shared_count++ == 0) {
                shared = region.get();
            }
        }
        if (empty) return *empty;
        if (shared_count >= std::max(1u, std::thread::hardware_concurrency())) return *shared;
        return new_region(size);
    }

    Region& new_region(size_t size) {
        regions_.push_back(std::make_unique<Region>(size));
        empty_bytes_ += regions_.back()->size();
        return *regions_.back();
    }

    std::mutex mutex_;
    std::vector<std::unique_ptr<Region>> regions_;
    size_t empty_bytes_ = 0;
};

}  // namespace

uint8_t* pool_allocate(size_t size_bytes, bool of_thread) {
    if (size_bytes > SIZE_MAX / 4) return nullptr;
    try {
        return Pool::pool().allocate(round_up(std::max<size_t>(size_bytes, 1), alignment), of_thread);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

void pool_free(uint8_t* data, size_t size_bytes) {
    if (data != nullptr) Pool::pool().free(data, round_up(std::max<size_t>(size_bytes, 1), alignment));
}

#else

uint8_t* pool_allocate(size_t size_bytes, bool) {
    void* data = nullptr;
    return posix_memalign(&data, alignment, round_up(size_bytes + 1, alignment)) == 0 ? static_cast<uint8_t*>(data)
                                                                                      : nullptr;
}

void pool_free(uint8_t* data, size_t) { std::free(data); }

#endif

}  // namespace jpegfreq::python
