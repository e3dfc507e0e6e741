#include "model/blocks/norm.h"

namespace openllm::model {

Norm::Norm(BlockBuilder& builder, Role role, At at, std::int64_t n)
    : spec_(builder.norm), weight_(builder.loader.vector(role, at, n)) {
  if (spec_.kind == device::NormKind::kLayer) bias_ = builder.loader.bias(role, at, n);
}

}  // namespace openllm::model
