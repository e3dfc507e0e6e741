// Seed-OSS: llama with biases on Q, K and V. Source: transformers models/seed_oss.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 155136,
                                                .n_layers = 64,
                                                .n_heads = 80,
                                                .n_kv_heads = 8,
                                                .head_dim = 128,
                                                .ffn_dim = 27648,
                                                .max_positions = 524288});
  hf::read_single_rope(config, spec);
  hf::set_attention_biases(spec, config.bool_or("attention_bias", true),
                           config.bool_or("attention_out_bias", false));
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  return spec;
}

}  // namespace

Family seed_oss_family() {
  return {"seed_oss", {"seed_oss"}, {}, from_hf, nullptr, hf::llama_layout(), {}};
}

}  // namespace openllm::model
