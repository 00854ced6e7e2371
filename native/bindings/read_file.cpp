// A file into the caller's memory, in one call: four of Python's would take half as long as the reading itself.
#include <sys/stat.h>

#include <algorithm>

#include "bindings.h"
#include "descriptor.h"

namespace jpegfreq::python {

namespace {

// The caller's memory, kept exported while this lives.
struct Memory {
    Py_buffer view = {};

    explicit Memory(nb::handle memory) {
        if (PyObject_GetBuffer(memory.ptr(), &view, PyBUF_WRITABLE) != 0) throw nb::python_error();
    }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    ~Memory() { PyBuffer_Release(&view); }
};

// What read_file returns. `done` is less than `size` where the file ends before, and -1 where there is no room.
struct Part {
    int64_t size = 0;
    int64_t done = 0;
    int error = 0;  // errno
};

Part read_part(const char* path, uint8_t* to, size_t room, int64_t offset, int64_t size) {
    Part part;
    const Descriptor file(path);
    struct stat status;
    if (file.number < 0 || fstat(file.number, &status) != 0) {
        part.error = errno;
        return part;
    }
    part.size = size >= 0 ? size : std::max<int64_t>(int64_t(status.st_size) - offset, 0);
    if (uint64_t(part.size) > room) {
        part.done = -1;
        return part;
    }
    while (part.done < part.size) {
        const ssize_t count = pread(file.number, to + part.done, size_t(part.size - part.done), offset + part.done);
        if (count == 0) break;
        if (count > 0) {
            part.done += count;
        } else if (errno != EINTR) {
            part.error = errno;
            break;
        }
    }
    return part;
}

nb::tuple read_file(nb::handle path, nb::handle memory, size_t begin, int64_t offset_bytes, int64_t size_bytes) {
    PyObject* encoded = nullptr;
    if (!PyUnicode_FSConverter(path.ptr(), &encoded)) throw nb::python_error();
    const nb::object name = nb::steal(encoded);
    const Memory room(memory);
    const size_t length = static_cast<size_t>(room.view.len);
    Part part;
    {
        nb::gil_scoped_release release;
        const size_t first = std::min(begin, length);
        part = read_part(PyBytes_AS_STRING(name.ptr()), static_cast<uint8_t*>(room.view.buf) + first, length - first,
                         offset_bytes, size_bytes);
    }
    if (part.error != 0) {
        errno = part.error;
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path.ptr());
        throw nb::python_error();
    }
    return nb::make_tuple(part.size, part.done);
}

}  // namespace

void bind_read_file(nb::module_& module) {
    module.def("read_file", &read_file, nb::arg("path"), nb::arg("memory"), nb::arg("begin"), nb::arg("offset_bytes"),
               nb::arg("size_bytes"));
}

}  // namespace jpegfreq::python
