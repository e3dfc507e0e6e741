#include "model/weights/module.h"

#include <cstddef>
#include <optional>

namespace openllm::model {
namespace {

constexpr std::size_t kMaxDigits = 6;

/// Takes a number as it is written into names off the front of `text`.
std::optional<int> take_number(std::string_view& text) noexcept {
  std::size_t n = 0;
  int value = 0;
  while (n < text.size() && n < kMaxDigits && text[n] >= '0' && text[n] <= '9') {
    value = value * 10 + (text[n++] - '0');
  }
  if (n == 0 || (n > 1 && text[0] == '0')) return std::nullopt;
  text.remove_prefix(n);
  return value;
}

/// The numbers in a name that fits the pattern.
std::optional<At> match(std::string_view pattern, std::string_view name) noexcept {
  At at;
  for (const char c : pattern) {
    if (c == '#' || c == '@') {
      const std::optional<int> number = take_number(name);
      if (!number) return std::nullopt;
      (c == '#' ? at.layer : at.expert) = *number;
    } else if (name.empty() || name[0] != c) {
      return std::nullopt;
    } else {
      name.remove_prefix(1);
    }
  }
  if (!name.empty()) return std::nullopt;
  return at;
}

}  // namespace

std::vector<ModuleRef> find_modules(const ModuleLayout& layout, std::string_view name) {
  std::vector<ModuleRef> found;
  for (const ModuleName& module : layout.modules) {
    if (module.beside_prefix && name == module.pattern) {
      found.push_back({module.role, {}});
      continue;
    }
    for (const std::string_view prefix : layout.prefixes) {
      if (!name.starts_with(prefix)) continue;
      const std::optional<At> at = match(module.pattern, name.substr(prefix.size()));
      if (!at) continue;
      found.push_back({module.role, *at});
      break;
    }
  }
  return found;
}

}  // namespace openllm::model
