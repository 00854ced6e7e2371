#include "bindings.h"

using namespace jpegfreq::python;

NB_MODULE(_native, module) {
    nb::set_leak_warnings(false);  // the module's tables live as long as the process
    bind_header(module);
    bind_coefficients(module);
    bind_batch(module);
    bind_read_batch(module);
    bind_read_file(module);
    bind_resample(module);
    bind_structure(module);
    bind_write(module);
    module.def("instruction_set", [] { return jpegfreq::instruction_set(); });
}
