#pragma once

#include "model/arch/gguf.h"
#include "model/arch/hf.h"

namespace openllm::model {

/// What Gemma 2 and 3 share: (1 + w) norms around every block, scaled embeddings,
/// query_pre_attn_scalar.
DecoderSpec read_gemma(const Config& config, const hf::Defaults& defaults);
/// The same from GGUF, where the converter has already added the 1 to the norm weights.
DecoderSpec read_gemma_gguf(const Config& config, const format::Checkpoint& checkpoint);

/// A soft cap: absent or null is none (or `otherwise` when absent).
float read_soft_cap(const Config& config, std::string_view key, double otherwise);

TensorLayout gemma_layout();

}  // namespace openllm::model
