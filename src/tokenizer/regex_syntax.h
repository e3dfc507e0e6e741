#pragma once

#include <string>
#include <string_view>

namespace openllm::tokenizer {

/// Rewrites a pattern of the Hugging Face library (Oniguruma, Ruby syntax) so that PCRE2 with UTF
/// and UCP matches the same: `\s` without U+180E, `\w` with marks, `\h` as hexadecimal digit, and
/// `[A&&[^B]]` as a look-ahead. Throws kUnsupported for other nested classes.
std::string translate_regex(std::string_view pattern, std::string_view where);

}  // namespace openllm::tokenizer
