// The second byte of each marker (T.81 table B.1).
#pragma once

#include <cstdint>

namespace jpegfreq {

// clang-format off
enum MarkerCode : uint8_t {
    TEM = 0x01,
    SOF0 = 0xC0, SOF1 = 0xC1, SOF2 = 0xC2, SOF3 = 0xC3, DHT = 0xC4, SOF5 = 0xC5, SOF6 = 0xC6, SOF7 = 0xC7,
    SOF9 = 0xC9, SOF10 = 0xCA, SOF11 = 0xCB, DAC = 0xCC, SOF13 = 0xCD, SOF14 = 0xCE, SOF15 = 0xCF,
    RST0 = 0xD0, RST7 = 0xD7, SOI = 0xD8, EOI = 0xD9, SOS = 0xDA, DQT = 0xDB, DNL = 0xDC, DRI = 0xDD, DHP = 0xDE,
    APP0 = 0xE0, APP1 = 0xE1, APP14 = 0xEE, APP15 = 0xEF,
    SOF55 = 0xF7,  // JPEG-LS
    COM = 0xFE,
};
// clang-format on

constexpr bool is_restart(uint8_t code) { return code >= RST0 && code <= RST7; }

// A frame header that this decoder reads.
constexpr bool is_frame_header(uint8_t code) {
    return code == SOF0 || code == SOF1 || code == SOF2 || code == SOF9 || code == SOF10;
}

// Reserved codes, which no segment has: entropy-coded data can hold them only by damage (B.1.1.3).
constexpr bool is_reserved(uint8_t code) { return code < SOF0; }

}  // namespace jpegfreq
