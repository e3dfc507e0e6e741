#pragma once

#include <string_view>
#include <vector>

#include "tokenizer/text/aligned_text.h"
#include "tokenizer/unicode/unicode.h"

namespace openllm::tokenizer {

/// The normal form of a text (valid UTF-8), and how its characters came about.
std::vector<Rewritten> normalize_chars(NormalForm form, std::string_view text);

}  // namespace openllm::tokenizer
