// Jais 1: GPT-2 with ALiBi, gated FFNs, and muP's multipliers. Sources: the published
// modeling_jais.py, llama.cpp's "jais" architecture.

#include <cmath>

#include "model/arch/alibi.h"
#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// Members have a name of before and of after muP's.
double read_factor(const Config& config, std::string_view own, std::string_view older) {
  return config.positive_or(config.first_of({older, own}), 1.0);
}

void refuse_variants(const Config& config) {
  const std::string positions = config.string_or("position_embedding_type", "learned");
  if (positions != "alibi") {
    config.unsupported("position_embedding_type", "unknown positions (expected alibi, got ",
                       positions, ")");
  }
  const std::string activation = config.string_or("activation_function", "gelu");
  if (activation != "swiglu") {
    config.unsupported("activation_function", "unknown activation (expected swiglu, got ",
                       activation, ")");
  }
  if (config.has("alibi_scaling"))
    config.unsupported("alibi_scaling", "ALiBi for longer sequences is not supported");
  for (const std::string_view key : {"scale_attn_by_inverse_layer_idx", "add_cross_attention"}) {
    if (config.bool_or(key, false)) config.unsupported(key, "not supported with jais");
  }
}

ModelSpec from_hf(const Config& config) {
  refuse_variants(config);
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50257,
                                                .hidden_size = 768,
                                                .n_layers = 12,
                                                .n_heads = 12,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 0,
                                                .max_positions = 1024,
                                                .tied = true,
                                                .activation_key = "hidden_act",
                                                .names = {.hidden_size = "n_embd",
                                                          .n_layers = "n_layer",
                                                          .n_heads = "n_head",
                                                          .ffn_dim = "n_inner",
                                                          .max_positions = "n_positions"}});
  hf::use_layer_norm(config, spec, "layer_norm_epsilon", 1e-5);
  hf::set_attention_biases(spec, true, true);
  each_ffn(spec, [](DenseFfnSpec& ffn) { ffn.bias = true; });
  spec.embedding.scale =
      static_cast<float>(read_factor(config, "mup_embeddings_scale", "embeddings_scale"));
  spec.head->scale = static_cast<float>(config.has("width_scale")
                                            ? config.positive_or("width_scale", 1.0)
                                            : config.positive_or("mup_output_alpha", 1.0) *
                                                  config.positive_or("mup_width_scale", 1.0));
  const bool by_dim =
      config.bool_or(config.first_of({"scale_qk_dot_by_d", "mup_scale_qk_dot_by_d"}), false);
  const bool scaled = config.bool_or("scale_attn_weights", true);
  spec.position_biases.push_back(alibi(attention_of(spec, 0).n_heads));
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.position_bias = 0;
    attention.scale = !scaled  ? 1.0F
                      : by_dim ? 1.0F / static_cast<float>(attention.head_dim)
                               : attention.scale;
  });
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "wte"},       {role::kFinalNorm, "ln_f"},
      {role::kHead, "lm_head", true},  {role::kMixerNorm, "h.#.ln_1"},
      {role::kQkv, "h.#.attn.c_attn"}, {role::kAttentionOutput, "h.#.attn.c_proj"},
      {role::kFfnNorm, "h.#.ln_2"},    {role::kGate, "h.#.mlp.c_fc2"},
      {role::kUp, "h.#.mlp.c_fc"},     {role::kDown, "h.#.mlp.c_proj"},
  };
  layout.prefixes = {"transformer.", ""};
  layout.ignored = {"h.#.attn.bias", "h.#.attn.masked_bias", "relative_pe.slopes"};
  layout.transposed = true;
  return layout;
}

/// The converter puts the multipliers into the embedding and the head. llama.cpp scales scores by
/// the size of a head.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.set("position_embedding_type", "alibi").set("activation_function", "swiglu");
  members.set("scale_qk_dot_by_d", true);
  members.copy("feed_forward_length", "n_inner");
  const double max_bias = config.positive_or("attention.max_alibi_bias", 8.0);
  if (max_bias != 8.0) {
    config.unsupported("attention.max_alibi_bias", "not of this architecture (expected 8, got ",
                       max_bias, ")");
  }
  members.leave({"attention.max_alibi_bias"});
  return members.read(from_hf);
}

}  // namespace

Family jais_family() {
  return {"jais",
          {"jais"},
          {"jais"},
          from_hf,
          from_gguf,
          hf_layout(),
          gguf::layout_with({{role::kQkv, "blk.#.attn_qkv"}}, {role::kQ, role::kK, role::kV})};
}

}  // namespace openllm::model
