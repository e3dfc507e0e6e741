#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace openllm::tokenizer {

/// A set of characters as the inside of a PCRE2 class, or the complement of one.
struct CharSet {
  std::string items;
  bool negated = false;
};

/// The set of `\s \S \w \W \d \D \h \H`; nothing for other letters. Oniguruma counts the
/// superscript digits and fractions of Latin-1 as word characters, but not in a class.
std::optional<CharSet> find_shorthand(char letter, bool in_class);
/// `\p{name}` as Oniguruma takes it: a general category, a POSIX name, a binary property or a
/// script, maybe behind `^`. Names that are neither are left to PCRE2 as scripts.
CharSet property_set(std::string_view name);
/// `[:name:]`; nothing for unknown names.
std::optional<CharSet> find_posix_set(std::string_view name);

}  // namespace openllm::tokenizer
