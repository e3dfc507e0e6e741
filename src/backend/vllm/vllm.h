#pragma once

#include <string>

#include "backend/registry.h"

namespace openllm::backend {

/// Where the backend looks for what it needs.
struct VllmPlaces {
  std::string root = "/";  ///< Of the file system, for devices.
};

/// The backend that has a model run by vLLM, or by another server that speaks as it does: one that
/// runs already, or one that it starts.
BackendEntry vllm_backend(const VllmPlaces& places = {});

}  // namespace openllm::backend
