#pragma once

#include <memory>

#include "backend/backend.h"

namespace openllm::backend {

/// Our own engine on a device of this machine.
std::unique_ptr<Backend> load_native(const format::Checkpoint& checkpoint,
                                     const LoadOptions& options);

}  // namespace openllm::backend
