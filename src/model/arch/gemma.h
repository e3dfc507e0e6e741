#pragma once

#include "model/arch/gguf.h"
#include "model/arch/hf.h"

namespace openllm::model {

/// What Gemma 2 and 3 share: (1 + w) norms around every block, scaled embeddings,
/// query_pre_attn_scalar. Their defaults differ in vocabulary and context.
ModelSpec read_gemma(const Config& config, int vocab_size, int max_positions);

/// The same from GGUF, where the converter has already added the 1 to the norm weights. The queries
/// of the largest model of each generation, told by its number of layers, are scaled by
/// dim / n_heads instead of head_dim.
ModelSpec read_gemma_gguf(const Config& config, const format::Checkpoint& checkpoint,
                          int largest_n_layers);

/// A soft cap; 0 is none. Null is none too, absent is `otherwise`.
float read_soft_cap(const Config& config, std::string_view key, double otherwise);

ModuleLayout gemma_layout();

}  // namespace openllm::model
