// Makes the frozen dataclasses that the Python side declares.
#pragma once

#include "bindings.h"

namespace jpegfreq::python {

// Fills a frozen dataclass with slots past its __init__, which would cost ten times as much as reading the header does.
class Record {
public:
    explicit Record(nb::handle type)
        : object_(nb::steal(PyType_GenericNew(reinterpret_cast<PyTypeObject*>(type.ptr()), nullptr, nullptr))) {
        if (!object_.is_valid()) throw nb::python_error();
    }
    void set(nb::handle field, nb::handle value) {
        if (PyObject_GenericSetAttr(object_.ptr(), field.ptr(), value.ptr()) != 0) throw nb::python_error();
    }
    void set(nb::handle field, int64_t value) { set(field, nb::int_(value)); }
    void set(nb::handle field, const char* value) { set(field, nb::steal(PyUnicode_InternFromString(value))); }
    nb::object take() { return std::move(object_); }

private:
    nb::object object_;
};

inline nb::object interned(const char* text) { return nb::steal(PyUnicode_InternFromString(text)); }

}  // namespace jpegfreq::python
