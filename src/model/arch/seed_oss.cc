// Seed-OSS: llama with biases on Q, K and V. Source: transformers models/seed_oss.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
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

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  return members.read(from_hf);
}

}  // namespace

Family seed_oss_family() {
  return {
      "seed_oss",
      {"seed_oss"},
      {"seed_oss"},
      from_hf,
      from_gguf,
      hf::llama_layout(),
      gguf::layout_with({{role::kFfnNorm, "blk.#.post_attention_norm"}}, {role::kMixerPostNorm})};
}

}  // namespace openllm::model
