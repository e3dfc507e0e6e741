// Nemotron and Minitron: LayerNorms whose weights are an offset from 1, plain FFNs with squared
// ReLU, RoPE on the first half of each head. Source: transformers models/nemotron.

#include "model/arch/family.h"
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

}  // namespace

Family nemotron_family() {
  return {"nemotron", {"nemotron"}, {}, from_hf, nullptr, hf::llama_layout(), {}};
}

}  // namespace openllm::model
