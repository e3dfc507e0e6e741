#include "backend/registry.h"

#include "backend/native.h"
#include "backend/pt/pt.h"
#include "backend/vllm/vllm.h"

namespace openllm::backend {

std::vector<BackendEntry> backends() {
  return {
      vllm_backend(),
      native_backend(),
      pt_backend(),
  };
}

}  // namespace openllm::backend
