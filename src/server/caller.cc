#include "server/caller.h"

#include "base/error.h"

namespace openllm::server {

void set_caller(const Call& call, GenerateOptions& options) {
  options.tenant = call.app.tenant_of(call.exchange.request());
  if (options.priority >= 0 || call.app.options().allow_priority) return;
  base::fail_at(ErrorCode::kInvalidArgument, "priority",
                "out of range (expected at least 0, for this server lets no client run before "
                "others, got ",
                options.priority, ")");
}

}  // namespace openllm::server
