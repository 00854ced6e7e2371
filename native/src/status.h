// Makes the Status values that every part of the core returns.
#pragma once

#include "jpegfreq.h"

namespace jpegfreq {

inline Status failure(Code code, const char* segment, uint64_t offset_bytes, const char* message, const char* clause,
                      int64_t detail = 0) {
    Status status;
    status.code = code;
    status.segment = segment;
    status.message = message;
    status.clause = clause;
    status.offset_bytes = offset_bytes;
    status.detail = detail;
    return status;
}

inline Status malformed(const char* segment, uint64_t offset_bytes, const char* message, const char* clause,
                        int64_t detail = 0) {
    return failure(Code::malformed, segment, offset_bytes, message, clause, detail);
}

inline Status truncated(const char* segment, uint64_t offset_bytes, const char* message, const char* clause,
                        int64_t detail = 0) {
    return failure(Code::truncated, segment, offset_bytes, message, clause, detail);
}

inline Status unsupported(const char* segment, uint64_t offset_bytes, const char* message, const char* clause,
                          int64_t detail = 0) {
    return failure(Code::unsupported, segment, offset_bytes, message, clause, detail);
}

inline Status out_of_memory() { return failure(Code::out_of_memory, "", 0, "no memory for the decoder's buffers", ""); }

}  // namespace jpegfreq
