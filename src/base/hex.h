#pragma once

#include <string>
#include <string_view>

namespace openllm::base {

inline constexpr std::string_view kHexDigits = "0123456789abcdef";

/// Appends the byte as two digits, in lower case.
inline void append_hex(std::string& out, unsigned char byte) {
  out += kHexDigits[byte >> 4U];
  out += kHexDigits[byte & 15U];
}

}  // namespace openllm::base
