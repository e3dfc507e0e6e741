// Nemotron and Minitron: LayerNorms whose weights are an offset from 1, plain FFNs with squared
// ReLU, RoPE on the first half of each head. Source: transformers models/nemotron.

#include <utility>

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 256000,
                                                .hidden_size = 6144,
                                                .n_heads = 48,
                                                .ffn_dim = 24576,
                                                .max_positions = 4096,
                                                .activation = "relu2"});
  hf::use_layer_norm(config, spec, "norm_eps", 1e-5);
  spec.norm.weight_offset = 1.0F;
  hf::use_plain_ffn(spec, config.bool_or("mlp_bias", false));
  hf::read_attention_bias(config, spec);
  hf::read_single_rope(config, spec, {.partial = 0.5});
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  ModelSpec spec = members.read(from_hf);
  spec.norm.added = std::exchange(spec.norm.weight_offset, 0.0F);  // The converter adds it.
  return spec;
}

}  // namespace

Family nemotron_family() {
  return {"nemotron",
          {"nemotron"},
          {"nemotron"},
          from_hf,
          from_gguf,
          hf::llama_layout(),
          gguf::layout_with({}, {role::kGate})};
}

}  // namespace openllm::model
