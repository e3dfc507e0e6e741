#include "model/blocks/norm.h"

namespace openllm::model {

Norm::Norm(BlockBuilder& builder, Role role, At at, std::int64_t n, const NormSpec& spec)
    : spec_(spec) {
  WeightLoader& loader = builder.loader;
  if (!spec_.has_weight) {
    weight_ = loader.constant(n, 1.0F - spec_.weight_offset);
  } else if (spec_.group > 0) {
    weight_ = loader.head_vectors(role, at, n / spec_.group, spec_.group);
  } else {
    weight_ = loader.vector(role, at, n);
  }
  if (spec_.kind == device::NormKind::kLayer && spec_.has_bias) bias_ = loader.bias(role, at, n);
}

}  // namespace openllm::model
