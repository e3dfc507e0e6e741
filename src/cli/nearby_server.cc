#include "cli/nearby_server.h"

#include <algorithm>

#include "base/error.h"
#include "openllm/backends.h"

namespace openllm::cli {

std::string tell_of_server(const LLM& llm, const std::string& model, const LoadOptions& load,
                           const std::string& url) {
  const std::string backend = llm.backend().name;
  if (!load.backend.empty() || backend == "vllm" || backend == "places") return {};
  LoadOptions there = load;
  there.vllm.urls = {url};
  try {
    const BackendReport report = ask_backends(model, there);
    const bool has_model =
        std::any_of(report.backends.begin(), report.backends.end(),
                    [](const Availability& one) { return one.name == "vllm" && one.available; });
    if (!has_model) return {};
  } catch (const Error&) {
    return {};  // the environment says what runs it
  }
  return base::cat("openllm: a server at ", url, " has this model too; --place ", url,
                   " puts it behind this one\n");
}

}  // namespace openllm::cli
