// Helium: llama whose RoPE turns neighbours. Source: transformers models/helium.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 48000,
                                                .hidden_size = 2560,
                                                .n_layers = 24,
                                                .n_heads = 20,
                                                .n_kv_heads = 20,
                                                .head_dim = 128,
                                                .ffn_dim = 7040,
                                                .max_positions = 4096,
                                                .norm_eps = 1e-8});
  hf::read_single_rope(config, spec, {.theta = 100000.0, .style = device::RopeStyle::kInterleaved});
  hf::set_attention_biases(spec, config.bool_or("attention_bias", false), false);
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  return spec;
}

}  // namespace

Family helium_family() {
  return {"helium", {"helium"}, {}, from_hf, nullptr, hf::llama_layout(), {}};
}

}  // namespace openllm::model
