#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/json.h"
#include "tokenizer/regex/regex.h"

namespace openllm::tokenizer {

/// Readers for the components of a tokenizer.json. `where` names the component in errors, all of
/// which are kCorruptData unless the text says otherwise.

constexpr int kMaxComponentDepth = 16;  // of sequences within sequences

/// The member "type".
const std::string& require_type(const base::Json& json, std::string_view where);
const base::Json& require_field(const base::Json& json, std::string_view key,
                                std::string_view where);
const std::string& require_string(const base::Json& json, std::string_view key,
                                  std::string_view where);
const base::JsonArray& require_array(const base::Json& json, std::string_view key,
                                     std::string_view where);
/// The member, or the fallback where it is absent or null.
bool bool_or(const base::Json& json, std::string_view key, bool fallback, std::string_view where);
std::string string_or(const base::Json& json, std::string_view key, std::string_view fallback,
                      std::string_view where);
/// A token id: an integer from 0 to 2^31 - 1.
std::int32_t to_token_id(const base::Json& json, std::string_view where);

/// A pattern as the components write it: {"String": "..."} or {"Regex": "..."}.
struct Pattern {
  std::variant<std::string, Regex> value;
};
Pattern require_pattern(const base::Json& json, std::string_view where);

[[noreturn]] void fail_unknown(std::string_view what, std::string_view type);
void check_depth(int depth, std::string_view where);

}  // namespace openllm::tokenizer
