#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "bindings.h"
#include "descriptor.h"

namespace jpegfreq::python {

namespace {

bool holds_bytes(const Py_buffer& view) {
    if (view.itemsize != 1) return false;
    const char* format = view.format ? view.format : "B";
    if (std::strchr("@=<>!", format[0]) != nullptr) format++;  // byte order: ctypes says '<B'
    return std::strcmp(format, "B") == 0 || std::strcmp(format, "b") == 0 || std::strcmp(format, "c") == 0;
}

}  // namespace

Input::Input(nb::handle data, int64_t index) {
    const auto name = [index] { return index < 0 ? std::string("data") : "images[" + std::to_string(index) + "]"; };
    PyObject* object = data.ptr();
    if (!PyUnicode_Check(object) && PyObject_CheckBuffer(object)) {
        if (PyObject_GetBuffer(object, &view_, PyBUF_CONTIG_RO | PyBUF_FORMAT) != 0) {
            nb::python_error cause;
            nb::raise_from(cause, PyExc_TypeError, "%s must be contiguous bytes", name().c_str());
        }
        if (!holds_bytes(view_)) {
            PyErr_Format(PyExc_TypeError, "%s must be bytes or a uint8 array, not items of format '%s'", name().c_str(),
                         view_.format ? view_.format : "?");
            PyBuffer_Release(&view_);
            throw nb::python_error();
        }
        bytes_ = {static_cast<const uint8_t*>(view_.buf), static_cast<size_t>(view_.len)};
        return;
    }
    nb::object path = nb::steal(PyOS_FSPath(object));
    if (!path.is_valid()) {
        PyErr_Clear();
        nb::str type = nb::str(nb::handle(reinterpret_cast<PyObject*>(Py_TYPE(object))).attr("__name__"));
        throw nb::type_error(
            (name() + " must be bytes, another contiguous buffer or a path, not " + type.c_str()).c_str());
    }
    PyObject* encoded = nullptr;
    if (!PyUnicode_FSConverter(path.ptr(), &encoded)) throw nb::python_error();
    path_ = path.release().ptr();
    encoded_path_ = encoded;
    file_name_ = PyBytes_AsString(encoded);
}

Input::~Input() {
    unload();
    if (view_.obj != nullptr) PyBuffer_Release(&view_);
    Py_XDECREF(path_);
    Py_XDECREF(encoded_path_);
}

int Input::load(size_t limit) {
    if (!is_path()) return 0;
    unload();
    const Descriptor descriptor(file_name_);
    struct stat status;
    if (descriptor.number < 0 || fstat(descriptor.number, &status) != 0) return errno;
    // A pipe does not tell its size: its buffer grows as it is read.
    const bool sized = S_ISREG(status.st_mode) && status.st_size > 0;
    size_t capacity = sized ? static_cast<size_t>(status.st_size) : 65536;
    if (capacity > limit) capacity = limit;
    size_t used = 0;
    while (true) {
        uint8_t* grown = static_cast<uint8_t*>(std::realloc(file_, capacity));
        if (grown == nullptr) return unload(), ENOMEM;
        file_ = grown;
        while (used < capacity) {
            const ssize_t count = read(descriptor.number, file_ + used, capacity - used);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) {
                const int error = errno;
                unload();
                return error;
            }
            if (count == 0) break;
            used += static_cast<size_t>(count);
        }
        if (sized || used < capacity || capacity == limit) break;
        capacity = capacity > limit / 2 ? limit : capacity * 2;
    }
    bytes_ = {file_, used};
    return 0;
}

void Input::unload() {
    if (!is_path()) return;
    std::free(file_);
    file_ = nullptr;
    bytes_ = {};
}

size_t Input::size() const {
    if (!is_path()) return bytes_.size;
    struct stat status;
    return stat(file_name_, &status) == 0 && status.st_size > 0 ? static_cast<size_t>(status.st_size) : 0;
}

nb::object Input::path() const { return is_path() ? nb::borrow(path_) : nb::none(); }

nb::object Input::os_error(int error) const {
    if (error == ENOMEM) return nb::handle(PyExc_MemoryError)(path());
    return nb::handle(PyExc_OSError)(error, std::strerror(error), path());
}

}  // namespace jpegfreq::python
