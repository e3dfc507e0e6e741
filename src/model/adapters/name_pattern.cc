#include "model/adapters/name_pattern.h"

#include <algorithm>

#include "format/tensor_list.h"

namespace openllm::model {
namespace {

bool is_plain(std::string_view pattern) {
  if (pattern.starts_with('^')) pattern.remove_prefix(1);
  return !pattern.empty() && std::all_of(pattern.begin(), pattern.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

}  // namespace

bool is_name_of(std::string_view name, std::string_view module) noexcept {
  if (!module.ends_with(name)) return false;
  return module.size() == name.size() || module[module.size() - name.size() - 1] == '.';
}

NamePatterns::NamePatterns(const Config& config, std::string_view key, double min, double max) {
  const base::Json* value = config.find(key);
  if (value == nullptr) return;
  const base::JsonObject* members = value->if_object();
  if (members == nullptr) config.corrupt(key, "wrong type (expected an object)");
  for (const auto& [pattern, number] : *members) {
    const std::string shown = format::printable(pattern);
    if (!is_plain(pattern)) {
      config.unsupported(key,
                         "a pattern that is no name of a module (expected a name or its last "
                         "parts, got ",
                         shown, ")");
    }
    const double n = number.is_number() ? number.as_double(key) : min - 1.0;
    if (!(n >= min && n <= max)) {
      config.corrupt(key, "bad value for ", shown, " (expected a number from ", min, " to ", max,
                     ", got ", format::printable(number.dump()), ")");
    }
    patterns_.emplace_back(pattern, n);
  }
}

std::optional<double> NamePatterns::find(std::string_view module) const {
  for (const auto& [pattern, number] : patterns_) {
    const std::string_view text(pattern);
    if (text.starts_with('^') ? text.substr(1) == module : is_name_of(text, module)) return number;
  }
  return std::nullopt;
}

}  // namespace openllm::model
