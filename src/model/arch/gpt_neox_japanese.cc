// GPT-NeoX Japanese: GPT-NeoX in series, without biases but one behind the last layer's attention,
// RoPE on all of each head. Source: transformers models/gpt_neox_japanese.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// intermediate_multiple_size times hidden_size, cut to a whole number.
int read_ffn_dim(const Config& config) {
  const int dim = hf::read_size(config, "hidden_size", 2560, kMaxDim);
  const double factor = config.positive_or("intermediate_multiple_size", 4.0);
  const double width = std::floor(dim * factor);
  if (width < 1.0 || width > static_cast<double>(kMaxFfnDim)) {
    config.corrupt("intermediate_multiple_size", "bad number (expected a width from 1 to ",
                   kMaxFfnDim, ", got ", width, ")");
  }
  return static_cast<int>(width);
}

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.hidden_size = 2560;
  defaults.ffn_dim = read_ffn_dim(config);
  defaults.reads_ffn_dim = true;
  defaults.ignores_head_dim = true;
  defaults.tied = true;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_layer_norm(config, spec, "layer_norm_eps", 1e-5);
  hf::use_plain_ffn(spec, false);
  each_attention(spec, [](SelfAttentionSpec& attention) {
    attention.n_kv_heads = attention.n_heads;
    attention.fused.n_groups = attention.n_heads;
  });
  attention_of(spec, spec.n_layers() - 1).output_bias = true;
  hf::read_single_rope(
      config, spec, {.theta_key = "rotary_emb_base", .partial = 1.0, .partial_key = "rotary_pct"});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embed_in"},
      {role::kFinalNorm, "final_layer_norm"},
      {role::kHead, "embed_out", true},
      {role::kMixerNorm, "layers.#.input_layernorm"},
      {role::kQkv, "layers.#.attention.query_key_value"},
      {role::kAttentionOutput, "layers.#.attention.dense"},
      {role::kFfnNorm, "layers.#.post_attention_layernorm"},
      {role::kUp, "layers.#.mlp.dense_h_to_4h"},
      {role::kDown, "layers.#.mlp.dense_4h_to_h"},
  };
  layout.prefixes = {"gpt_neox_japanese.", ""};
  layout.ignored = {"layers.#.attention.bias", "layers.#.attention.masked_bias",
                    "layers.#.attention.rotary_emb.inv_freq"};
  return layout;
}

}  // namespace

Family gpt_neox_japanese_family() {
  return {"gpt_neox_japanese", {"gpt_neox_japanese"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
