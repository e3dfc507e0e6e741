#pragma once

#include <span>

namespace openllm::tokenizer {

// Code points that the Hugging Face library knows and the Unicode libraries here do not yet: it
// comes with Unicode 16 and 17, Debian 12 with 14 (PCRE2) and 15 (ICU). Sorted by code point within
// a category.

struct CategoryRange {
  char32_t first, last;
  char category[3];  ///< General category, "Lu".
};
struct CodeRange {
  char32_t first, last;
};
struct CodePair {
  char32_t from, to;
};

/// General categories, for regular expressions.
std::span<const CategoryRange> added_categories() noexcept;
/// Characters of category N, for Digits.
std::span<const CodeRange> added_numeric() noexcept;
/// Upper case letters and their lower case.
std::span<const CodePair> added_lower() noexcept;

}  // namespace openllm::tokenizer
