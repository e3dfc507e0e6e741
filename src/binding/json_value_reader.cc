#include "binding/json_value_reader.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/nearest.h"

namespace openllm::binding {

JsonValueReader::JsonValueReader(base::Json json, std::string_view where)
    : json_(std::move(json)), where_(where) {
  parts_.push_back({&json_});
}

std::int64_t JsonValueReader::as_int(std::int64_t min, std::int64_t max) const {
  const std::int64_t value = here().as_int(path());
  if (value < min || value > max) {
    base::fail_at(ErrorCode::kInvalidArgument, path(), "out of range (expected ", min, " to ", max,
                  ", got ", value, ")");
  }
  return value;
}

double JsonValueReader::as_number(double most) const {
  const double value = here().as_double(path());
  if (!(std::abs(value) <= most)) {
    base::fail_at(ErrorCode::kInvalidArgument, path(), "out of range (expected at most ", most,
                  ", got ", value, ")");
  }
  return value;
}

std::size_t JsonValueReader::as_one_of(const std::vector<std::string_view>& texts) const {
  const std::string text = as_text();
  const auto found = std::find(texts.begin(), texts.end(), text);
  if (found == texts.end()) {
    std::string expected;
    for (const std::string_view known : texts)
      expected += (expected.empty() ? "" : ", ") + std::string(known);
    constexpr std::size_t kLongestShown = 60;
    base::fail_at(
        ErrorCode::kInvalidArgument, path(), "unknown value (expected ", expected, ", got ",
        text.size() > kLongestShown ? base::cat(text.size(), " bytes") : base::cat('"', text, '"'),
        ")");
  }
  return static_cast<std::size_t>(found - texts.begin());
}

std::vector<std::string> JsonValueReader::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : here().as_object(path())) keys.push_back(key);
  return keys;
}

void JsonValueReader::require_known(const std::vector<std::string_view>& names) const {
  for (const auto& [key, value] : here().as_object(path())) {
    if (std::find(names.begin(), names.end(), key) != names.end()) continue;
    const std::optional<std::string> meant = base::nearest(key, {names.begin(), names.end()});
    throw Error(ErrorCode::kInvalidArgument,
                base::cat(path_of(key), ": unknown field",
                          meant ? base::cat(" (did you mean ", *meant, "?)") : ""),
                path_of(key), ErrorReason::kUnknownField);
  }
}

void JsonValueReader::enter_element(std::size_t index) {
  const base::JsonArray& array = here().as_array(path());
  parts_.push_back({&array.at(index), base::cat(parts_.back().path, "[", index, "]")});
}

bool JsonValueReader::enter_member(std::string_view name, bool is_needed) {
  const base::Json* member = here().as_object(path()).find(name);
  if (member == nullptr && is_needed) {
    throw Error(ErrorCode::kInvalidArgument, base::cat(path_of(name), ": missing"), path_of(name),
                ErrorReason::kMissingField);
  }
  if (member == nullptr) return false;
  parts_.push_back({member, path_of(name)});
  return true;
}

std::string_view JsonValueReader::path() const {
  return parts_.back().path.empty() ? std::string_view(where_) : parts_.back().path;
}

std::string JsonValueReader::path_of(std::string_view member) const {
  const std::string& path = parts_.back().path;
  return path.empty() ? std::string(member) : base::cat(path, ".", member);
}

}  // namespace openllm::binding
