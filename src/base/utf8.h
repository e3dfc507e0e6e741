#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace openllm::base {

constexpr char32_t kReplacement = 0xFFFD;

/// Decodes the code point at `pos` and moves `pos` past it. An invalid sequence gives kReplacement
/// and moves past its maximal valid prefix (at least one byte), as the Unicode standard recommends
/// and Python's errors="replace" does.
char32_t decode_utf8(std::string_view text, std::size_t& pos) noexcept;

void append_utf8(std::string& out, char32_t code_point);

bool is_valid_utf8(std::string_view text) noexcept;

/// The text with every invalid sequence replaced by U+FFFD.
std::string sanitize_utf8(std::string_view text);

/// Length of the incomplete but so far valid sequence at the end of `text`: 0 to 3 bytes.
std::size_t incomplete_utf8_tail(std::string_view text) noexcept;

}  // namespace openllm::base
