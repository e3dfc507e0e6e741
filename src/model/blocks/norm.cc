#include "model/blocks/norm.h"

namespace openllm::model {

Norm::Norm(BlockBuilder& builder, Role role, At at, std::int64_t n, const device::NormSpec& spec)
    : spec_(spec), weight_(builder.loader.vector(role, at, n)) {
  if (spec_.kind == device::NormKind::kLayer) bias_ = builder.loader.bias(role, at, n);
}

}  // namespace openllm::model
