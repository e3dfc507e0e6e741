// XGLM: positions made of sines, LayerNorm, plain FFNs, biases everywhere. Source: transformers
// models/xglm.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  if (config.bool_or("add_cross_attention", false))
    config.unsupported("add_cross_attention", "cross attention is not supported");
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 256008,
                                                .hidden_size = 1024,
                                                .n_layers = 24,
                                                .n_heads = 16,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 4096,
                                                .max_positions = 2048,
                                                .tied = true,
                                                .activation_key = "activation_function",
                                                .activation = "gelu",
                                                .names = {.hidden_size = "d_model",
                                                          .n_layers = "num_layers",
                                                          .n_heads = "attention_heads",
                                                          .ffn_dim = "ffn_dim"}});
  spec.norm.kind = device::NormKind::kLayer;
  spec.norm.eps = 1e-5F;
  hf::use_plain_ffn(spec, true);
  hf::set_attention_biases(spec, true, true);
  if (spec.dim % 2 != 0 || spec.dim < 4) {
    config.unsupported("d_model", "positions need an even number of columns (got ", spec.dim, ")");
  }
  constexpr int kOffset = 2;
  spec.embedding.n_positions = spec.max_positions + kOffset;
  spec.embedding.position_offset = kOffset;
  spec.embedding.waves = {spec.dim / 2.0 - 1.0, true};
  if (config.bool_or("scale_embedding", true))
    spec.embedding.scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embed_tokens"},
      {role::kFinalNorm, "layer_norm"},
      {role::kHead, "lm_head", true},
      {role::kQ, "layers.#.self_attn.q_proj"},
      {role::kK, "layers.#.self_attn.k_proj"},
      {role::kV, "layers.#.self_attn.v_proj"},
      {role::kAttentionOutput, "layers.#.self_attn.out_proj"},
      {role::kMixerNorm, "layers.#.self_attn_layer_norm"},
      {role::kUp, "layers.#.fc1"},
      {role::kDown, "layers.#.fc2"},
      {role::kFfnNorm, "layers.#.final_layer_norm"},
  };
  layout.prefixes = {"model.", ""};
  layout.ignored = {"embed_positions.weights"};
  return layout;
}

}  // namespace

Family xglm_family() { return {"xglm", {"xglm"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
