// What the binding files share: Python objects in, the core's types; the core's types, Python objects out.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstddef>
#include <memory>
#include <string>

#include "jpegfreq.h"

namespace jpegfreq::python {

namespace nb = nanobind;

// Each file adds its functions.
void bind_header(nb::module_& module);
void bind_coefficients(nb::module_& module);
void bind_batch(nb::module_& module);
void bind_read_batch(nb::module_& module);
void bind_read_file(nb::module_& module);
void bind_resample(nb::module_& module);
void bind_structure(nb::module_& module);
void bind_write(nb::module_& module);

// One file as the caller gave it: an object with the buffer protocol, borrowed and kept exported while this lives, or a
// path, read into memory of our own by load(). Made and destroyed with the GIL held; load() and bytes() need none.
class Input {
public:
    // Raises TypeError for anything that is neither contiguous bytes nor a path; it names `data`, or `images[index]`.
    explicit Input(nb::handle data, int64_t index = -1);
    Input(const Input&) = delete;
    Input& operator=(const Input&) = delete;
    ~Input();

    // Reads the file, or its first `limit` bytes. Returns 0 or errno. Nothing to do for a buffer.
    int load(size_t limit = SIZE_MAX);
    void unload();  // frees a file's bytes
    bool is_path() const { return path_ != nullptr; }
    Bytes bytes() const { return bytes_; }
    // Before load(): the size of the file, 0 where it cannot be told.
    size_t size() const;

    nb::object path() const;  // the path as given, or None
    nb::object os_error(int error) const;

private:
    Py_buffer view_ = {};
    PyObject* path_ = nullptr;          // as given
    PyObject* encoded_path_ = nullptr;  // bytes, for the system
    const char* file_name_ = nullptr;   // their characters
    uint8_t* file_ = nullptr;
    Bytes bytes_;
};

// A Python exception object for a Status that is not ok. `index` < 0: not of a batch.
nb::object to_exception(const Status& status, const Input& input, int64_t index = -1);
// A tuple of them: Decoder::damages().
nb::object to_exceptions(Span<const Status> damages, const Input& input, int64_t index = -1);
[[noreturn]] void raise(nb::handle exception);

nb::object to_python(const Header& header);

// The other way, by the names that Header.process and Header.color have. Raise ValueError for any other name.
Process process_named(const std::string& name);
ColorKind color_named(const std::string& name);

// The calling thread's, kept for its next call.
Decoder& thread_decoder();

// The memory of all planes of one image: one allocation, aligned to 64 bytes, exported by the buffer protocol.
class PlaneMemory {
public:
    // nullptr if there is no memory. `of_thread` as in plane_pool.h.
    static std::unique_ptr<PlaneMemory> allocate(size_t size_bytes, bool of_thread);
    ~PlaneMemory();
    PlaneMemory(const PlaneMemory&) = delete;
    PlaneMemory& operator=(const PlaneMemory&) = delete;

    uint8_t* data() const { return data_; }
    size_t size_bytes() const { return size_bytes_; }

private:
    PlaneMemory() = default;

    uint8_t* data_ = nullptr;
    size_t size_bytes_ = 0;
};

// Whether damage="keep" returns such an image: what could be decoded is there, and the rest is zero.
inline bool is_damage(const Status& status) { return status.code == Code::malformed || status.code == Code::truncated; }

// Gives `output` room for the planes, once it is known that the header promises neither too much nor, unless damage is kept, more
// than the data can hold. Needs no GIL.
Status allocate_planes(Bytes jpeg, const Header& header, const Limits& limits, bool keep_damage,
                       std::unique_ptr<PlaneMemory>& memory, Output& output);

// The APPn and COM segments of a file: a tuple of (marker, bytes); None if they are not asked for.
nb::object segments_of(Bytes jpeg, bool asked_for);

// A jpegfreq.Coefficients that owns `memory`. `damages` is a tuple of exceptions, `segments` that of segments_of().
nb::object to_python(const Header& header, const Output& output, std::unique_ptr<PlaneMemory> memory,
                     nb::handle damages, nb::handle segments);

}  // namespace jpegfreq::python
