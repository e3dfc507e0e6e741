// Qwen 1: Qwen 2 with one QKV, other names, and gate and up the other way round. Source: the
// published modeling_qwen.py.

#include <algorithm>
#include <cmath>

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// Longer sequences stretch RoPE and scale queries (use_dynamic_ntk, use_logn_attn); up to the
/// length of training both do nothing, and no further it goes here.
void limit_length(const Config& config, ModelSpec& spec) {
  const int trained = config.int_or("seq_length", spec.max_positions, 1, kMaxPositions);
  if (config.bool_or("use_dynamic_ntk", true) || config.bool_or("use_logn_attn", true))
    spec.max_positions = std::min(spec.max_positions, trained);
}

ModelSpec from_hf(const Config& config) {
  if (config.bool_or("use_cache_quantization", false))
    config.unsupported("use_cache_quantization", "keys and values are quantised by --kv-type here");
  ModelSpec spec =
      hf::read_llama_like(config, {.vocab_size = 151936,
                                   .head_dim = config.int_or("kv_channels", 128, 1, kMaxHeadDim),
                                   .ignores_head_dim = true,
                                   .ffn_dim = 22016,
                                   .max_positions = 8192});
  spec.norm.eps = static_cast<float>(config.not_negative_or("layer_norm_epsilon", 1e-6));
  const int ffn_dim = std::get<DenseFfnSpec>(spec.layers[0].ffn).ffn_dim;
  if (ffn_dim % 2 != 0) {
    config.corrupt("intermediate_size",
                   "bad value (expected gate and up together, an even number, ", "got ", ffn_dim,
                   ")");
  }
  const bool bias = !config.bool_or("no_bias", true);
  const bool scaled = config.bool_or("scale_attn_weights", true);
  each_ffn(spec, [&](DenseFfnSpec& ffn) {
    ffn.ffn_dim = ffn_dim / 2;
    ffn.activation = device::Activation::kSilu;
    ffn.bias = bias;
  });
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.n_kv_heads = attention.n_heads;
    attention.bias = true;
    attention.output_bias = bias;
    if (!scaled) attention.scale = 1.0F;
  });
  hf::read_single_rope(
      config, spec, {.theta_key = "rotary_emb_base", .partial = 1.0, .partial_key = "rotary_pct"});
  limit_length(config, spec);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "wte"},       {role::kFinalNorm, "ln_f"},
      {role::kHead, "lm_head", true},  {role::kMixerNorm, "h.#.ln_1"},
      {role::kQkv, "h.#.attn.c_attn"}, {role::kAttentionOutput, "h.#.attn.c_proj"},
      {role::kFfnNorm, "h.#.ln_2"},    {role::kGate, "h.#.mlp.w2"},
      {role::kUp, "h.#.mlp.w1"},       {role::kDown, "h.#.mlp.c_proj"},
  };
  layout.prefixes = {"transformer.", ""};
  // Towers of Qwen-VL and Qwen-Audio.
  layout.ignored = {"rotary_emb.inv_freq", "h.#.attn.rotary_emb.inv_freq", "h.#.attn.logn_tensor",
                    "visual.*", "audio.*"};
  return layout;
}

/// The converter leaves the length of training out, and llama.cpp computes all lengths alike.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.copy("attention.layer_norm_rms_epsilon", "layer_norm_epsilon");
  members.set("no_bias", !members.has_tensor("blk.0.attn_output.bias"));
  members.set("kv_channels", config.require_int("embedding_length", 1, kMaxDim) /
                                 config.require_int("attention.head_count", 1, kMaxHeads));
  return members.read(from_hf);
}

}  // namespace

Family qwen1_family() {
  return {"qwen",
          {"qwen"},
          {"qwen"},
          from_hf,
          from_gguf,
          hf_layout(),
          gguf::layout_with({{role::kQkv, "blk.#.attn_qkv"}}, {role::kQ, role::kK, role::kV})};
}

}  // namespace openllm::model
