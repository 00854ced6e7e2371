#include <memory>
#include <vector>

#include "bindings.h"
#include "jpegfreq_hash.h"

namespace jpegfreq::python {

namespace {

// The digests in hexadecimal; None for a message that is hashed as fast by itself.
nb::list sha256_side_by_side_of(nb::list data) {
    std::vector<std::unique_ptr<Input>> inputs;
    std::vector<HashedMessage> messages;
    for (size_t i = 0; i < data.size(); i++) {
        inputs.push_back(std::make_unique<Input>(data[i], static_cast<int64_t>(i)));
        if (inputs.back()->is_path()) throw nb::type_error("hashes are made of bytes, not of paths");
        messages.push_back({inputs.back()->bytes(), i, false, {}});
    }
    {
        nb::gil_scoped_release release;
        sha256_side_by_side({messages.data(), messages.size()});
    }
    nb::list digests;
    for (size_t i = 0; i < messages.size(); i++) digests.append(nb::none());
    for (const HashedMessage& message : messages) {
        if (!message.is_hashed) continue;
        const char* digits = "0123456789abcdef";
        std::string text;
        for (const uint8_t byte : message.digest) {
            text += digits[byte >> 4];
            text += digits[byte & 15];
        }
        digests[message.index] = nb::str(text.c_str());
    }
    return digests;
}

}  // namespace

void bind_hashes(nb::module_& module) { module.def("sha256_side_by_side", &sha256_side_by_side_of, nb::arg("data")); }

}  // namespace jpegfreq::python
