#pragma once

#include <cstddef>
#include <string_view>

namespace openllm::tokenizer {

/// Finds the end of the word that begins at `begin`. `text` is valid UTF-8, `begin` is within it.
using WordScanner = std::size_t (*)(std::string_view text, std::size_t begin);

/// Splits text as isolating the matches of `pattern` does, many times faster; null for a
/// pattern without a scanner written by hand. Tests compare each with its regular expression.
WordScanner find_word_scanner(std::string_view pattern) noexcept;

/// Splits at numeric characters (see is_numeric): each alone, or runs of them.
std::size_t scan_digit(std::string_view text, std::size_t begin);
std::size_t scan_digits(std::string_view text, std::size_t begin);

/// The same as the `\p{L}`, `\p{N}`, `\p{M}`, `\s` and `[\r\n]` of patterns, as an OR of bits.
enum CharKind : unsigned {
  kLetter = 1,
  kNumber = 2,
  kMark = 4,
  kSpace = 8,
  kNewline = 16,
  kUpper = 32,  ///< Lu or Lt.
  kLower = 64,  ///< Ll.
};
unsigned char_kind(char32_t code) noexcept;

}  // namespace openllm::tokenizer
