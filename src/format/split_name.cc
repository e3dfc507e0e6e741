#include "format/split_name.h"

#include <array>
#include <cstdio>
#include <string_view>

namespace openllm::format {
namespace {

std::optional<int> five_digits(std::string_view text) {
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::string SplitName::at(int i) const {
  std::array<char, 32> suffix{};
  std::snprintf(suffix.data(), suffix.size(), "-%05d-of-%05d.gguf", i, count);
  return prefix + suffix.data();
}

std::optional<SplitName> parse_split_name(const std::string& path) {
  constexpr std::string_view kPattern = "-00000-of-00000.gguf";
  if (path.size() <= kPattern.size()) return std::nullopt;
  const std::string_view tail = std::string_view(path).substr(path.size() - kPattern.size());
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || tail.substr(15) != ".gguf") {
    return std::nullopt;
  }
  const std::optional<int> index = five_digits(tail.substr(1, 5));
  const std::optional<int> count = five_digits(tail.substr(10, 5));
  if (!index || !count) return std::nullopt;
  return SplitName{path.substr(0, path.size() - kPattern.size()), *index, *count};
}

}  // namespace openllm::format
