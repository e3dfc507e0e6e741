#include "server/api/fields.h"

#include <utility>

#include "base/error.h"
#include "fields/values.h"

namespace openllm::server {

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
  fields::fail_type(name_of(name), expected, got);
}

void Fields::fail_value(std::string_view name, std::string_view expected,
                        std::string_view got) const {
  fields::fail_value(name_of(name), expected, got);
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
  return fields::read_boolean(*value, name_of(name));
}

std::optional<std::int64_t> Fields::integer(std::string_view name, std::int64_t min,
                                            std::int64_t max) const {
  const base::Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  return fields::read_integer(*value, name_of(name), min, max);
}

const std::string* Fields::string(std::string_view name) const {
  const base::Json* value = find(name);
  if (value == nullptr) return nullptr;
  if (const std::string* text = value->if_string()) return text;
  fail_type(name, "string", *value);
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

void Fields::fail_unknown(std::string_view name) const {
  constexpr std::size_t kMaxShown = 60;  // names are quoted in messages; long ones would drown them
  const std::string where = name_of(name.substr(0, kMaxShown));
  base::fail_with(ErrorCode::kInvalidArgument, {where, ErrorReason::kUnknownField}, where,
                  ": there is no such field");
}

base::Json parse_body(std::string_view text) {
  constexpr std::string_view kWhere = "request body";
  try {
    return base::Json::parse_unique(text, kWhere);
  } catch (const Error& error) {
    if (error.where() != kWhere) throw;
    throw Error(error.code(), error.what());  // no field of the body is to blame
  }
}

}  // namespace openllm::server
