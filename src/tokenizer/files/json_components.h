#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/json.h"

namespace openllm::tokenizer {

// Components as tokenizer.json writes them, for files from before it.

base::Json component(const char* type);
/// A Replace of a regular expression.
base::Json replace_regex(const char* pattern, const char* content);
base::Json sequence(const char* member, std::initializer_list<base::Json> parts);
base::Json metaspace();
/// An entry of `added_tokens`.
base::Json special_token(std::string_view content, std::int64_t id, bool lstrip = false);

}  // namespace openllm::tokenizer
