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

/// The same behind any of the layout's prefixes.
std::optional<At> match(const ModuleLayout& layout, const ModuleName& module,
                        std::string_view name) noexcept {
  if (module.beside_prefix && name == module.pattern) return At{};
  for (const std::string_view prefix : layout.prefixes) {
    if (!name.starts_with(prefix)) continue;
    const std::optional<At> at = match(module.pattern, name.substr(prefix.size()));
    if (at) return at;
  }
  return std::nullopt;
}

}  // namespace

std::vector<ModuleRef> find_modules(const ModuleLayout& layout, std::string_view name) {
  std::vector<ModuleRef> found;
  for (const bool in_encoder : {false, true}) {
    for (const ModuleName& module : in_encoder ? layout.encoder_modules : layout.modules) {
      const std::optional<At> at = match(layout, module, name);
      if (at) found.push_back({module.role, *at, in_encoder});
    }
  }
  return found;
}

}  // namespace openllm::model
