#pragma once

#include <string>
#include <string_view>

namespace openllm::tokenizer {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

/// Valid UTF-8 in, valid UTF-8 out. Characters newer than Unicode 9 stay as they are.
std::string normalize(NormalForm form, std::string_view text);
/// Each character's full lower case, without context.
std::string to_lower(std::string_view text);

bool is_whitespace(char32_t code) noexcept;   ///< White_Space.
bool is_word_char(char32_t code) noexcept;    ///< `\w`: letters, marks, decimal digits, connectors.
bool is_numeric(char32_t code) noexcept;      ///< Nd, Nl, No.
bool is_punctuation(char32_t code) noexcept;  ///< P* of Unicode 8, and the ASCII symbols.
bool is_mark(char32_t code) noexcept;         ///< M* of Unicode 9.

/// Length of the white space at the start and at the end, in bytes.
std::size_t leading_whitespace(std::string_view text) noexcept;
std::size_t trailing_whitespace(std::string_view text) noexcept;

/// Bytes of the characters that are not white space.
std::size_t count_non_blank(std::string_view text) noexcept;

/// The character before byte `end` of valid UTF-8; `end` > 0.
char32_t char_before(std::string_view text, std::size_t end) noexcept;
/// The offset at which that character begins.
std::size_t start_of_char_before(std::string_view text, std::size_t end) noexcept;

}  // namespace openllm::tokenizer
