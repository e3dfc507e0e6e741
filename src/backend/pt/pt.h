#pragma once

#include "backend/registry.h"

namespace openllm::backend {

/// PyTorch: models by Hugging Face transformers in a Python process, which computes forward passes;
/// the engine around it is the one of the native backend.
BackendEntry pt_backend();

}  // namespace openllm::backend
