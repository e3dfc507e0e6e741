#include "model/blocks/embedding.h"

namespace openllm::model {

Embedding::Embedding(const EmbeddingSpec& spec, BlockBuilder& builder, Role role, int vocab_size,
                     bool is_output)
    : spec_(spec), tokens_(builder.loader.table(role, vocab_size, builder.dim, is_output)) {
  if (spec.n_positions > 0) {
    positions_ = builder.loader.table(role::kPositions, spec.n_positions, builder.dim, false);
  }
}

void Embedding::run(Run& run, device::Tensor x) const {
  run.device.embed(*tokens_, {.scale = spec_.scale}, x);
  if (positions_) {
    run.device.embed(
        *positions_,
        {.by = device::Lookup::By::kPosition, .offset = spec_.position_offset, .add = true}, x);
  }
}

}  // namespace openllm::model
