#pragma once

#include <cstddef>
#include <string_view>

namespace openllm::tokenizer {

/// The character at `at` of valid UTF-8, which is not ASCII; moves `at` behind it.
inline char32_t decode_long_char(std::string_view text, std::size_t& at) noexcept {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[at + i]));
  };
  const auto tail = [&](std::size_t i) { return byte(i) & 0x3FU; };
  const char32_t lead = byte(0);
  if (lead < 0xE0) {
    const char32_t code = ((lead & 0x1FU) << 6U) | tail(1);
    at += 2;
    return code;
  }
  if (lead < 0xF0) {
    const char32_t code = ((lead & 0x0FU) << 12U) | (tail(1) << 6U) | tail(2);
    at += 3;
    return code;
  }
  const char32_t code = ((lead & 0x07U) << 18U) | (tail(1) << 12U) | (tail(2) << 6U) | tail(3);
  at += 4;
  return code;
}

/// The character at `at` of valid UTF-8; moves `at` behind it. Without the checks of
/// base::decode_utf8.
inline char32_t decode_valid(std::string_view text, std::size_t& at) noexcept {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte >= 0x80) return decode_long_char(text, at);
  ++at;
  return byte;
}

}  // namespace openllm::tokenizer
