#pragma once

#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {

/// What Qwen 3 Next and Qwen 3.5 share: all but the FFNs.
ModelSpec read_qwen3_next(const Config& config, const hf::Defaults& defaults);
/// Adds a gated shared expert and the mixture to all layers but those that stay dense.
void read_qwen3_next_moe(const Config& config, ModelSpec& spec, int n_experts, int top_k);
/// Names of everything but the input of the delta rule.
ModuleLayout qwen3_next_layout();
/// Both of GGUF, whose converter adds one to the weights of norms.
ModelSpec read_qwen3_next_gguf(const Config& config, const format::Checkpoint& checkpoint,
                               ModelSpec (*from_hf)(const Config&));
ModuleLayout qwen3_next_gguf_layout();

}  // namespace openllm::model
