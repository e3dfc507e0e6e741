#include "cli/environment.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/nearest.h"

namespace openllm::cli {
namespace {

constexpr std::string_view kPrefix = "OPENLLM_";
/// The last one is read by scripts/test.
constexpr std::array<std::string_view, 7> kKnown{
    "OPENLLM_HOME",     "OPENLLM_BACKEND",    "OPENLLM_CONFIG",  "OPENLLM_API_KEY",
    "OPENLLM_ENDPOINT", "OPENLLM_AUTH_TOKEN", "OPENLLM_BASE_REF"};
/// Of fields, which the library checks itself.
constexpr std::array<std::string_view, 2> kPrefixes{"OPENLLM_GENERATION_", "OPENLLM_SAMPLING_"};

bool is_known(std::string_view name) {
  return std::find(kKnown.begin(), kKnown.end(), name) != kKnown.end() ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [name](std::string_view prefix) { return name.starts_with(prefix); });
}

}  // namespace

std::vector<std::string> unknown_variables(const char* const* environment) {
  std::vector<std::string> sentences;
  const std::vector<std::string> known(kKnown.begin(), kKnown.end());
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view entry(*environment);
    const std::string_view name = entry.substr(0, entry.find('='));
    if (!name.starts_with(kPrefix) || is_known(name)) continue;
    const std::optional<std::string> meant = base::nearest(name, known);
    sentences.push_back(base::cat("nothing reads the variable ", name.substr(0, 100),
                                  meant ? base::cat("; did you mean ", *meant, "?") : ""));
  }
  return sentences;
}

}  // namespace openllm::cli
