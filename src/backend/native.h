#pragma once

#include "backend/registry.h"

namespace openllm::backend {

/// Our own engine on a device of this machine. The only backend that reads a model as a
/// model::ModelSpec and opens its tensors.
BackendEntry native_backend();

}  // namespace openllm::backend
