#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// Text as Python's str sees it: code points, over valid UTF-8 bytes.
namespace openllm::jinja::text {

bool is_space(char32_t c) noexcept;  ///< str.isspace of one character.
bool is_upper(char32_t c) noexcept;
bool is_lower(char32_t c) noexcept;
bool is_alpha(char32_t c) noexcept;
bool is_decimal(char32_t c) noexcept;
bool is_digit(char32_t c) noexcept;
bool is_numeric(char32_t c) noexcept;
bool is_printable(char32_t c) noexcept;
bool is_word(char32_t c) noexcept;        ///< Matched by \w.
bool is_line_break(char32_t c) noexcept;  ///< Where str.splitlines splits.

void append_upper(std::string& out, char32_t c);
void append_lower(std::string& out, char32_t c);
void append_title(std::string& out, char32_t c);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
/// For comparisons without case: sharp s is ss, and every sigma the same.
std::string casefold(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);  ///< str.title, not the filter.
std::string swapcase(std::string_view text);

/// Number of code points.
std::size_t length(std::string_view text) noexcept;
/// Byte position of code point `index`; the size when there are fewer.
std::size_t offset(std::string_view text, std::size_t index) noexcept;
std::u32string decode(std::string_view text);
std::string encode(std::u32string_view text);

/// Byte position of the first `needle` at or after `from`, or npos. Linear in the sizes.
std::size_t find(std::string_view text, std::string_view needle, std::size_t from = 0) noexcept;

/// Bytes of white space at the start or the end.
std::size_t leading_space(std::string_view text) noexcept;
std::size_t trailing_space(std::string_view text) noexcept;
std::string_view strip(std::string_view text) noexcept;

/// Byte position of the code point in front of `pos`, which is not 0.
inline std::size_t previous(std::string_view text, std::size_t pos) noexcept {
  do --pos;
  while (pos > 0 && (static_cast<unsigned char>(text[pos]) & 0xC0U) == 0x80U);
  return pos;
}

/// Length in bytes of the code point that starts with `lead`.
inline std::size_t width(char lead) noexcept {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80U ? 1 : byte < 0xE0U ? 2 : byte < 0xF0U ? 3 : 4;
}

}  // namespace openllm::jinja::text
