#pragma once

#include "device/ops.h"
#include "step/step.h"

namespace openllm::device {

/// Does to `out`, which holds the linear of x, what the deltas say.
void apply_deltas(const Weight& weight, LinearDeltas deltas, Tensor x, Tensor out);
/// As Device::embed_deltas.
void apply_embedding_deltas(const step::Step& step, EmbeddingDeltas deltas, Tensor out);

}  // namespace openllm::device
