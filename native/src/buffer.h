// A scratch array that only grows. No constructor runs on its elements; a failed growth leaves it empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace jpegfreq {

template <class T>
class Buffer {
public:
    Buffer() = default;
    ~Buffer() { std::free(data_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    // Makes room for at least `size` elements. When the buffer grows, its first `kept` elements move along and the rest
    // is lost.
    bool reserve(size_t size, size_t kept = 0) {
        if (size <= size_) return true;
        if (size > SIZE_MAX / 2 / sizeof(T)) return false;
        const size_t bytes = (size * sizeof(T) + size * sizeof(T) / 4 + 63) & ~size_t(63);
        T* larger = kept ? allocate(bytes) : nullptr;
        if (larger) std::memcpy(static_cast<void*>(larger), data_, kept * sizeof(T));
        std::free(data_);
        data_ = kept ? larger : allocate(bytes);
        size_ = data_ ? bytes / sizeof(T) : 0;
        return data_ != nullptr;
    }
    // Frees the buffer if it exceeds `bytes`, so that one large image does not keep its memory.
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
    const T& operator[](size_t i) const { return data_[i]; }

private:
    static T* allocate(size_t bytes) { return static_cast<T*>(std::aligned_alloc(64, bytes)); }

    T* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace jpegfreq
