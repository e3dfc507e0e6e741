#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace openllm::tokenizer {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

/// Valid UTF-8 in, valid UTF-8 out. Characters newer than Unicode 9 stay as they are.
std::string normalize(NormalForm form, std::string_view text);
/// The parts of those forms for single characters, of Unicode 9 as well: the full decomposition,
/// empty where there is none; the character that two make, or nothing; the combining class.
std::u32string decompose(NormalForm form, char32_t code);
std::optional<char32_t> compose(char32_t first, char32_t second);
int combining_class(char32_t code);
/// Each character's full lower case, without context.
std::string to_lower(std::string_view text);
std::u32string to_lower(char32_t code);

bool is_whitespace(char32_t code) noexcept;   ///< White_Space.
bool is_word_char(char32_t code) noexcept;    ///< `\w`: letters, marks, decimal digits, connectors.
bool is_numeric(char32_t code) noexcept;      ///< Nd, Nl, No.
bool is_punctuation(char32_t code) noexcept;  ///< P* of Unicode 8, and the ASCII symbols.
bool is_mark(char32_t code) noexcept;         ///< M* of Unicode 9.
bool is_old_nonspacing_mark(char32_t code) noexcept;  ///< Mn of Unicode 8.
bool is_old_other(char32_t code) noexcept;            ///< Cc, Cf and Co of Unicode 8.

/// A number for the character's script in Unicode 9; 0 where it has none.
int old_script(char32_t code) noexcept;

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
