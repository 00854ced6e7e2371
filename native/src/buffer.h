// A scratch array that only grows. No constructor runs on its elements; a failed growth leaves it empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace jpegfreq {

template <class T>
class Buffer {
public:
    Buffer() = default;
    ~Buffer() { std::free(data_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    // At least `size` elements; what they held is lost where the buffer grows.
    bool reserve(size_t size) {
        if (size <= size_) return true;
        if (size > SIZE_MAX / 2 / sizeof(T)) return false;
        const size_t bytes = (size * sizeof(T) + size * sizeof(T) / 4 + 63) & ~size_t(63);
        std::free(data_);
        data_ = static_cast<T*>(std::aligned_alloc(64, bytes));
        size_ = data_ ? bytes / sizeof(T) : 0;
        return data_ != nullptr;
    }
    // Frees what exceeds `bytes`, so that one large image does not stay in memory for ever.
    void trim(size_t bytes) {
        if (size_ * sizeof(T) <= bytes) return;
        std::free(data_);
        data_ = nullptr;
        size_ = 0;
    }
    T* data() { return data_; }
    const T* data() const { return data_; }
    size_t size() const { return size_; }
    T& operator[](size_t i) { return data_[i]; }

private:
    T* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace jpegfreq
