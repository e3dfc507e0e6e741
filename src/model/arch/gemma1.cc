// Gemma 1: llama with norms whose weights are an offset from 1, scaled embeddings and a gated GELU.
// Source: transformers models/gemma.

#include <cmath>
#include <utility>

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 256000,
                                                .hidden_size = 3072,
                                                .n_layers = 28,
                                                .n_heads = 16,
                                                .n_kv_heads = 16,
                                                .head_dim = 256,
                                                .ffn_dim = 24576,
                                                .max_positions = 8192,
                                                .tied = true,
                                                .activation = "gelu_pytorch_tanh"});
  spec.norm.weight_offset = 1.0F;
  spec.embedding.scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  ModelSpec spec = members.read(from_hf);
  spec.norm.added = std::exchange(spec.norm.weight_offset, 0.0F);  // The converter adds it.
  return spec;
}

}  // namespace

Family gemma1_family() {
  return {"gemma1", {"gemma"}, {"gemma"}, from_hf, from_gguf, hf::llama_layout(), gguf::layout()};
}

}  // namespace openllm::model
