#include "server/api/fields.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"

namespace openllm::server {
namespace {

/// Values are quoted in messages; long ones would drown them.
std::string shorten(std::string text) {
  constexpr std::size_t kMax = 60;
  if (text.size() <= kMax) return text;
  text.resize(kMax);
  return text + "...";
}

}  // namespace

Fields::Fields(const base::Json& object, std::string path)
    : object_(object), path_(std::move(path)) {
  if (!object.is_object()) {
    const std::string where = path_.empty() ? "request body" : path_;
    base::fail_with(ErrorCode::kInvalidArgument, {path_}, where,
                    ": wrong type (expected object, got ", object.type_name(), ")");
  }
}

std::string Fields::name_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : base::cat(path_, ".", name);
}

void Fields::fail_type(std::string_view name, std::string_view expected,
                       const base::Json& got) const {
  base::fail_at(ErrorCode::kInvalidArgument, name_of(name), "wrong type (expected ", expected,
                ", got ", got.type_name(), ")");
}

void Fields::fail_value(std::string_view name, std::string_view expected,
                        std::string_view got) const {
  base::fail_at(ErrorCode::kInvalidArgument, name_of(name), "invalid value (expected ", expected,
                ", got ", shorten(std::string(got)), ")");
}

void Fields::fail_missing(std::string_view name) const {
  const std::string where = name_of(name);
  base::fail_with(ErrorCode::kInvalidArgument, {where, ErrorReason::kMissingField}, where,
                  ": missing, but required");
}

void Fields::fail_unsupported(std::string_view name, std::string_view why) const {
  const std::string where = name_of(name);
  base::fail_with(ErrorCode::kUnsupported, {where, ErrorReason::kUnsupportedField}, where,
                  ": unsupported (", why, ")");
}

const base::Json* Fields::find(std::string_view name) const {
  const base::Json* value = object_.find(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<bool> Fields::boolean(std::string_view name) const {
  const base::Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (const bool* flag = value->if_bool()) return *flag;
  fail_type(name, "boolean", *value);
}

std::optional<std::int64_t> Fields::integer(std::string_view name, std::int64_t min,
                                            std::int64_t max) const {
  const base::Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) fail_type(name, "integer", *value);
  std::int64_t result = 0;
  bool fits = true;
  if (const std::int64_t* exact = value->if_int()) {
    result = *exact;
  } else {
    // 5.0 is an integer to many JSON writers; 5.5 is not.
    constexpr double kEnd = 9223372036854775808.0;  // 2^63
    const double number = value->as_double(name);
    if (std::nearbyint(number) != number) fail_value(name, "integer", value->dump());
    fits = number >= -kEnd && number < kEnd;
    if (fits) result = static_cast<std::int64_t>(number);
  }
  if (!fits || result < min || result > max) {
    const bool unbounded = result < min && (max == std::numeric_limits<std::int64_t>::max() ||
                                            max == std::numeric_limits<int>::max());
    fail_value(name, unbounded ? base::cat("at least ", min) : base::cat(min, " to ", max),
               value->dump());
  }
  return result;
}

std::optional<double> Fields::number(std::string_view name, double min, double max) const {
  const base::Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) fail_type(name, "number", *value);
  const double result = value->as_double(name);
  if (!(result >= min && result <= max))
    fail_value(name, base::cat(min, " to ", max), value->dump());
  return result;
}

const std::string* Fields::string(std::string_view name) const {
  const base::Json* value = find(name);
  if (value == nullptr) return nullptr;
  if (const std::string* text = value->if_string()) return text;
  fail_type(name, "string", *value);
}

std::vector<std::string> Fields::strings(std::string_view name, std::size_t max_count) const {
  const base::Json* value = find(name);
  if (value == nullptr) return {};
  if (const std::string* text = value->if_string()) return {*text};
  const base::JsonArray* list = value->if_array();
  if (list == nullptr) fail_type(name, "string or array of strings", *value);
  if (list->size() > max_count) {
    fail_value(name, base::cat("at most ", max_count, " entries"), std::to_string(list->size()));
  }
  std::vector<std::string> result;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string* text = (*list)[i].if_string();
    if (text == nullptr) fail_type(base::cat(name, "[", i, "]"), "string", (*list)[i]);
    result.push_back(*text);
  }
  return result;
}

std::vector<std::int32_t> Fields::token_ids(std::string_view name) const {
  const base::JsonArray* list = array(name);
  return list == nullptr ? std::vector<std::int32_t>{} : parse_token_ids(*list, name_of(name));
}

const base::JsonArray* Fields::array(std::string_view name) const {
  const base::Json* value = find(name);
  if (value == nullptr) return nullptr;
  if (const base::JsonArray* list = value->if_array()) return list;
  fail_type(name, "array", *value);
}

const base::Json* Fields::object(std::string_view name) const {
  const base::Json* value = find(name);
  if (value != nullptr && !value->is_object()) fail_type(name, "object", *value);
  return value;
}

base::Json parse_body(std::string_view text) {
  try {
    return base::Json::parse(text, "request body");
  } catch (const Error& error) {
    throw Error(error.code(), error.what());  // no field of the body is to blame
  }
}

std::vector<std::int32_t> parse_token_ids(const base::JsonArray& array, const std::string& where) {
  std::vector<std::int32_t> ids;
  ids.reserve(array.size());
  for (std::size_t i = 0; i < array.size(); ++i) {
    const std::int64_t* id = array[i].if_int();
    if (id == nullptr || *id < 0 || *id > std::numeric_limits<std::int32_t>::max()) {
      base::fail_at(ErrorCode::kInvalidArgument, base::cat(where, "[", i, "]"),
                    "not a token id (expected an integer of at least 0, got ",
                    array[i].is_number() ? array[i].dump() : std::string(array[i].type_name()),
                    ")");
    }
    ids.push_back(static_cast<std::int32_t>(*id));
  }
  return ids;
}

}  // namespace openllm::server
