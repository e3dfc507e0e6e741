#include "model/config/config.h"

#include <cmath>
#include <utility>

#include "base/error.h"

namespace openllm::model {

Config::Config(const base::Json& values, std::string where, std::string prefix)
    : values_(&values), where_(std::move(where)), prefix_(std::move(prefix)) {}

std::string Config::place(std::string_view key) const {
  return base::cat(where_, ": ", prefix_, key);
}

const base::Json* Config::raw(std::string_view key) const noexcept {
  return prefix_.empty() ? values_->find(key) : values_->find(prefix_ + std::string(key));
}

const base::Json* Config::find(std::string_view key) const noexcept {
  const base::Json* value = raw(key);
  return value != nullptr && value->is_null() ? nullptr : value;
}

bool Config::mentions(std::string_view key) const noexcept { return raw(key) != nullptr; }

bool Config::empty() const noexcept { return members().empty(); }

const base::JsonObject& Config::members() const noexcept {
  static const base::JsonObject kNone;
  const base::JsonObject* object = values_->if_object();
  return object == nullptr ? kNone : *object;
}

std::optional<Config> Config::object(std::string_view key) const {
  const base::Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) {
    corrupt(key, "wrong type (expected object, got ", value->type_name(), ")");
  }
  return Config(*value, place(key));
}

std::optional<double> Config::find_number(std::string_view key) const {
  const base::Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) {
    corrupt(key, "wrong type (expected number, got ", value->type_name(), ")");
  }
  return value->as_double(where_);
}

std::optional<int> Config::find_int(std::string_view key, std::int64_t min,
                                    std::int64_t max) const {
  const std::optional<double> value = find_number(key);
  if (!value) return std::nullopt;
  // Written so that NaN fails too. The bounds are far below 2^53: doubles hold them exactly.
  const bool in_range = *value >= static_cast<double>(min) && *value <= static_cast<double>(max);
  if (!in_range || std::floor(*value) != *value) {
    corrupt(key, "bad value (expected an integer from ", min, " to ", max, ", got ", *value, ")");
  }
  return static_cast<int>(*value);
}

int Config::require_int(std::string_view key, std::int64_t min, std::int64_t max) const {
  const std::optional<int> value = find_int(key, min, max);
  if (!value) corrupt(key, "missing (expected an integer from ", min, " to ", max, ")");
  return *value;
}

int Config::int_or(std::string_view key, std::int64_t otherwise, std::int64_t min,
                   std::int64_t max) const {
  return find_int(key, min, max).value_or(static_cast<int>(otherwise));
}

std::optional<double> Config::find_positive(std::string_view key) const {
  const std::optional<double> value = find_number(key);
  if (value && !(*value > 0.0 && std::isfinite(*value))) {
    corrupt(key, "bad value (expected a positive number, got ", *value, ")");
  }
  return value;
}

double Config::positive_or(std::string_view key, double otherwise) const {
  return find_positive(key).value_or(otherwise);
}

double Config::not_negative_or(std::string_view key, double otherwise) const {
  const double value = find_number(key).value_or(otherwise);
  if (!(value >= 0.0 && std::isfinite(value))) {
    corrupt(key, "bad value (expected a number >= 0, got ", value, ")");
  }
  return value;
}

bool Config::bool_or(std::string_view key, bool otherwise) const {
  const base::Json* value = find(key);
  if (value == nullptr) return otherwise;
  const bool* flag = value->if_bool();
  if (flag == nullptr) corrupt(key, "wrong type (expected boolean, got ", value->type_name(), ")");
  return *flag;
}

std::string Config::string_or(std::string_view key, std::string_view otherwise) const {
  const base::Json* value = find(key);
  if (value == nullptr) return std::string(otherwise);
  const std::string* text = value->if_string();
  if (text == nullptr) corrupt(key, "wrong type (expected string, got ", value->type_name(), ")");
  return *text;
}

std::optional<std::vector<double>> Config::numbers(std::string_view key) const {
  const base::Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  std::vector<double> out;
  const base::JsonArray* items = value->if_array();
  if (items == nullptr) corrupt(key, "wrong type (expected array, got ", value->type_name(), ")");
  for (const base::Json& item : *items) {
    if (!item.is_number()) {
      corrupt(key, "wrong element type (expected number, got ", item.type_name(), ")");
    }
    out.push_back(item.as_double(where_));
  }
  return out;
}

std::optional<std::vector<std::string>> Config::strings(std::string_view key) const {
  const base::Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  std::vector<std::string> out;
  const base::JsonArray* items = value->if_array();
  if (items == nullptr) corrupt(key, "wrong type (expected array, got ", value->type_name(), ")");
  for (const base::Json& item : *items) {
    const std::string* text = item.if_string();
    if (text == nullptr) {
      corrupt(key, "wrong element type (expected string, got ", item.type_name(), ")");
    }
    out.push_back(*text);
  }
  return out;
}

std::string_view Config::first_of(std::initializer_list<std::string_view> keys) const noexcept {
  std::string_view last;
  for (std::string_view key : keys) {
    if (has(key)) return key;
    last = key;
  }
  return last;
}

}  // namespace openllm::model
