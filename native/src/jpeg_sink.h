// The bytes of a file that is being written. After a failed growth it takes nothing more, and ok() tells.
#pragma once

#include "buffer.h"
#include "jpegfreq.h"

namespace jpegfreq {

class JpegSink {
public:
    void clear() {
        size_ = 0;
        ok_ = true;
    }
    bool ok() const { return ok_; }
    size_t size() const { return size_; }
    Bytes bytes() const { return {buffer_.data(), size_}; }
    uint8_t* data() { return buffer_.data(); }
    void trim(size_t bytes) { buffer_.trim(bytes); }

    // Room for `count` more bytes, to be written by the caller, who then calls advance(); nullptr if there is no memory.
    uint8_t* room(size_t count) {
        if (ok_ && buffer_.size() - size_ < count) {
            const size_t doubled = 2 * size_;
            ok_ = buffer_.reserve(size_ + count > doubled ? size_ + count : doubled, size_);
        }
        return ok_ ? buffer_.data() + size_ : nullptr;
    }
    void advance(size_t count) { size_ += count; }

    void shorten(size_t count) { size_ -= count; }

    void put(uint8_t byte) {
        if (uint8_t* next = room(1)) {
            *next = byte;
            size_++;
        }
    }
    void put16(uint32_t value) {
        put(uint8_t(value >> 8));
        put(uint8_t(value));
    }
    void put(Bytes bytes) {
        uint8_t* next = room(bytes.size);
        if (next && bytes.size) std::memcpy(next, bytes.data, bytes.size);
        if (next) size_ += bytes.size;
    }
    // A marker and, where a segment follows, its length field (T.81 B.1.1.4).
    void marker(uint8_t code) {
        put(0xFF);
        put(code);
    }
    void segment(uint8_t code, size_t body_bytes) {
        marker(code);
        put16(uint32_t(body_bytes + 2));
    }

private:
    Buffer<uint8_t> buffer_;
    size_t size_ = 0;
    bool ok_ = true;
};

}  // namespace jpegfreq
