// Everything that is wrong with one image, in the order of its scans.
#pragma once

#include "jpegfreq.h"

namespace jpegfreq {

class Damages {
public:
    void clear() { total_ = 0; }

    // `scan` is the number of the scan within the file. Entries of one scan keep the order in which they were added.
    void add(const Status& status, uint32_t scan);

    bool empty() const { return total_ == 0; }
    // The first error of the file, or an ok Status.
    Status first() const { return total_ ? list_[0].status : Status(); }
    // At most `max_damages`. If there are more, the last entry says how many were left out.
    Span<const Status> list();

private:
    struct Entry {
        Status status;
        uint32_t scan;
    };
    Entry list_[max_damages];
    Status listed_[max_damages];
    uint64_t total_ = 0;
};

}  // namespace jpegfreq
