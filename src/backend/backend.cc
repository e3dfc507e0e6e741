#include "backend/backend.h"

#include "base/error.h"

namespace openllm::backend {

void fail_no_adapter(const std::string& name, const std::vector<AdapterOptions>& mounted) {
  std::string known;
  for (const AdapterOptions& adapter : mounted)
    known += (known.empty() ? "expected one of " : ", ") + adapter.name;
  base::fail_at(ErrorCode::kNotFound, "adapter_name", "no adapter of that name is mounted (", known,
                known.empty() ? "" : "; ", "got ", name, ")");
}

void Backend::mount_adapter(const AdapterOptions& adapter) {
  base::fail_with(ErrorCode::kUnsupported, {"adapters", ErrorReason::kUnsupportedField},
                  "adapters: this backend mounts none (got ", adapter.id, ")");
}

void Backend::unmount_adapter(const std::string& name) { (void)find_adapter(name); }

AdapterUse Backend::find_adapter(const std::string& name) { fail_no_adapter(name, adapters()); }

}  // namespace openllm::backend
