#include "bindings.h"

#include <string>

namespace jpegfreq::python {

namespace {

std::string message(const Status& status) {
    std::string text = status.message;
    const size_t place = text.find("{}");
    if (place != std::string::npos) text.replace(place, 2, std::to_string(status.detail));
    return text;
}

}  // namespace

nb::object to_exception(const Status& status, const Input& input, int64_t index) {
    const nb::object from_status = nb::module_::import_("jpegfreq.errors").attr("_from_status");
    const std::string text = message(status);
    nb::object place = nb::none();
    if (index >= 0) place = nb::int_(index);
    return from_status(static_cast<int>(status.code), status.segment, text.c_str(), status.clause, status.offset_bytes,
                       input.path(), place);
}

nb::object to_exceptions(Span<const Status> damages, const Input& input, int64_t index) {
    if (damages.size == 0) return nb::make_tuple();
    nb::list exceptions;
    for (size_t i = 0; i < damages.size; i++) exceptions.append(to_exception(damages.data[i], input, index));
    return nb::tuple(exceptions);
}

void raise(nb::handle exception) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
    throw nb::python_error();
}

}  // namespace jpegfreq::python
