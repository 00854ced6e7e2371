// An open file.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace jpegfreq::python {

// Closes the descriptor on every way out, and keeps errno.
struct Descriptor {
    int number;

    explicit Descriptor(const char* path) : number(open(path, O_RDONLY | O_CLOEXEC)) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        const int error = errno;
        if (number >= 0) close(number);
        errno = error;
    }
};

}  // namespace jpegfreq::python
