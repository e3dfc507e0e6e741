#pragma once

#include <cstddef>
#include <string_view>

namespace openllm::tokenizer {

/// Where the word that begins at `begin` ends. `text` is valid UTF-8, `begin` is within it.
using WordScanner = std::size_t (*)(std::string_view text, std::size_t begin);

/// Splits text as isolating the matches of `pattern` does, many times faster; null where nobody has
/// written it by hand. The regular expression is the reference that tests compare it with.
WordScanner find_word_scanner(std::string_view pattern) noexcept;

/// Every number (see is_numeric) alone, or runs of them.
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
