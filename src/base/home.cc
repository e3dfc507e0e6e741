#include "base/home.h"

#include <cstdlib>

namespace openllm::base {

std::string home_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (std::string home = variable("OPENLLM_HOME"); !home.empty()) return home;
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty())
    return cache + "/openllm";
  if (const std::string home = variable("HOME"); !home.empty()) return home + "/.cache/openllm";
  return {};
}

}  // namespace openllm::base
