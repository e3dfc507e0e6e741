#include "llm/adapter_files.h"

#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "llm/hub_models.h"
#include "store/names.h"

namespace openllm::llm {

std::string find_adapter_files(const std::string& id, const LoadOptions& options) {
  std::error_code ignored;
  std::string path = store::expand_home(id);
  if (std::filesystem::exists(path, ignored)) return path;
  std::string reason = "there is no such file or folder";
  if (!store::is_path(id) && is_hub_name(id)) {
    if (const auto cached = find_cached(id)) return cached->path;
    reason = reason_not_to_fetch(options.ensure_available, options.offline);
    if (reason.empty()) {
      PullOptions pull;
      pull.progress = as_stages(options.progress);
      if (const auto fetched = fetch_from_hub(id, pull, reason)) return fetched->path;
    }
  }
  base::fail_at(ErrorCode::kNotFound, "adapters", id, ": not found (", reason, ")");
}

}  // namespace openllm::llm
