#include "damages.h"

#include "status.h"

namespace jpegfreq {

void Damages::add(const Status& status, uint32_t scan) {
    uint64_t place = total_ < max_damages ? total_ : max_damages;
    total_++;
    while (place > 0 && list_[place - 1].scan > scan) {
        if (place < max_damages) list_[place] = list_[place - 1];
        place--;
    }
    if (place < max_damages) list_[place] = Entry{status, scan};
}

Span<const Status> Damages::list() {
    Span<const Status> result;
    result.data = listed_;
    result.size = size_t(total_ < max_damages ? total_ : max_damages);
    for (size_t i = 0; i < result.size; i++) listed_[i] = list_[i].status;
    if (total_ > max_damages) {
        const Status& last = list_[max_damages - 1].status;
        listed_[max_damages - 1] = failure(last.code, last.segment, last.offset_bytes,
                                           "the first of {} damaged restart intervals that are not listed one by one",
                                           "E.2.4", int64_t(total_ - max_damages + 1));
    }
    return result;
}

}  // namespace jpegfreq
