#include "tokenizer/json_fields.h"

#include <limits>

#include "base/error.h"

namespace openllm::tokenizer {
namespace {

[[noreturn]] void fail_type(std::string_view where, std::string_view key, const char* expected,
                            const base::Json& got) {
  base::fail_at(ErrorCode::kCorruptData, where, "", key, ": wrong type (expected ", expected,
                ", got ", got.type_name(), ")");
}

}  // namespace

const base::Json& require_field(const base::Json& json, std::string_view key,
                                std::string_view where) {
  const base::Json* found = json.find(key);
  if (found == nullptr) base::fail_at(ErrorCode::kCorruptData, where, "no ", key);
  return *found;
}

const std::string& require_string(const base::Json& json, std::string_view key,
                                  std::string_view where) {
  const base::Json& found = require_field(json, key, where);
  if (!found.is_string()) fail_type(where, key, "string", found);
  return *found.if_string();
}

const std::string& require_type(const base::Json& json, std::string_view where) {
  return require_string(json, "type", where);
}

const base::JsonArray& require_array(const base::Json& json, std::string_view key,
                                     std::string_view where) {
  const base::Json& found = require_field(json, key, where);
  if (!found.is_array()) fail_type(where, key, "array", found);
  return *found.if_array();
}

bool bool_or(const base::Json& json, std::string_view key, bool fallback, std::string_view where) {
  const base::Json* found = json.find(key);
  if (found == nullptr || found->is_null()) return fallback;
  if (!found->is_bool()) fail_type(where, key, "boolean", *found);
  return *found->if_bool();
}

std::string string_or(const base::Json& json, std::string_view key, std::string_view fallback,
                      std::string_view where) {
  const base::Json* found = json.find(key);
  if (found == nullptr || found->is_null()) return std::string(fallback);
  if (!found->is_string()) fail_type(where, key, "string", *found);
  return *found->if_string();
}

std::int32_t to_token_id(const base::Json& json, std::string_view where) {
  const std::int64_t* id = json.if_int();
  if (id == nullptr || *id < 0 || *id > std::numeric_limits<std::int32_t>::max()) {
    base::fail_at(ErrorCode::kCorruptData, where, "bad token id (expected 0 to 2147483647, got ",
                  json.dump().substr(0, 40), ")");
  }
  return static_cast<std::int32_t>(*id);
}

Pattern require_pattern(const base::Json& json, std::string_view where) {
  const base::Json& pattern = require_field(json, "pattern", where);
  if (const base::Json* text = pattern.find("String"); text != nullptr && text->is_string()) {
    // An empty text is found between all characters, which is what the empty pattern does.
    if (text->if_string()->empty()) return {Regex("", where)};
    return {*text->if_string()};
  }
  if (const base::Json* regex = pattern.find("Regex"); regex != nullptr && regex->is_string()) {
    return {Regex(*regex->if_string(), where)};
  }
  base::fail_at(ErrorCode::kCorruptData, where,
                "bad pattern (expected {\"String\": ...} or {\"Regex\": ...})");
}

void fail_unknown(std::string_view what, std::string_view type) {
  base::fail(ErrorCode::kUnsupported, "tokenizer.json: ", what, " of type \"", type, "\"");
}

void check_depth(int depth, std::string_view where) {
  if (depth > kMaxComponentDepth) {
    base::fail_at(ErrorCode::kCorruptData, where, "nested too deep (at most ", kMaxComponentDepth,
                  ")");
  }
}

}  // namespace openllm::tokenizer
