#include "backend/registry.h"

#include "backend/native.h"

namespace openllm::backend {

std::vector<BackendEntry> backends() {
  return {
      {.name = "vllm", .reason = "this build has no vLLM backend"},
      native_backend(),
      {.name = "pt", .reason = "this build has no PyTorch backend"},
  };
}

}  // namespace openllm::backend
