#pragma once

#include "server/routes.h"

namespace openllm::server {

/// Sets in whose name a request runs, and refuses what its caller may not ask for: to run before
/// the requests of others (`ServerOptions::allow_priority`).
void set_caller(const Call& call, GenerateOptions& options);

}  // namespace openllm::server
