#pragma once

#include <string>
#include <string_view>

namespace openllm::tokenizer {

/// Rewrites a pattern of the Hugging Face library (Oniguruma, Ruby syntax) so that PCRE2 with UTF
/// and UCP matches the same. Throws kUnsupported for syntax that has no equal. Differences:
/// - the sets of characters: see regex_sets.h; sets inside sets; `&&`;
/// - `\b` stands between Oniguruma's word characters; `\h` is a hexadecimal digit, `\v` one
///   character, `\O` any; `\u` takes four digits; `\pL` is the text "pL";
/// - `(?m)` lets the dot match line ends; `(?i)` inside a group ends where an alternative would;
/// - `{2,3}+` is a repeated interval and `{2}?` an optional one; `{,3}` starts from 0.
std::string translate_regex(std::string_view pattern, std::string_view where);

}  // namespace openllm::tokenizer
