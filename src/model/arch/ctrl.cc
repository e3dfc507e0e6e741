// CTRL: positions as waves beside scaled embeddings, LayerNorm, plain FFNs, biases everywhere.
// Source: transformers models/ctrl.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 246534,
                                                .hidden_size = 1280,
                                                .n_layers = 48,
                                                .n_heads = 16,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 8192,
                                                .max_positions = 256,
                                                .tied = true,
                                                .activation_key = "",
                                                .activation = "relu",
                                                .names = {.hidden_size = "n_embd",
                                                          .n_layers = "n_layer",
                                                          .n_heads = "n_head",
                                                          .ffn_dim = "dff",
                                                          .max_positions = "n_positions"}});
  spec.norm.kind = device::NormKind::kLayer;
  spec.norm.eps = 1e-6F;  // of the layers, whatever the file says
  spec.final_norm = spec.norm;
  spec.final_norm->eps = static_cast<float>(config.not_negative_or("layer_norm_epsilon", 1e-6));
  hf::use_plain_ffn(spec, true);
  hf::set_attention_biases(spec, true, true);
  if (spec.dim % 2 != 0)
    config.unsupported("n_embd", "positions need an even number of columns (got ", spec.dim, ")");
  spec.embedding.n_positions = spec.max_positions;
  spec.embedding.waves = {spec.dim / 2.0, true};
  spec.embedding.scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  spec.head->bias = true;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "w"},
      {role::kFinalNorm, "layernorm"},
      {role::kHead, "lm_head", true},
      {role::kMixerNorm, "h.#.layernorm1"},
      {role::kQ, "h.#.multi_head_attention.Wq"},
      {role::kK, "h.#.multi_head_attention.Wk"},
      {role::kV, "h.#.multi_head_attention.Wv"},
      {role::kAttentionOutput, "h.#.multi_head_attention.dense"},
      {role::kFfnNorm, "h.#.layernorm2"},
      {role::kUp, "h.#.ffn.0"},
      {role::kDown, "h.#.ffn.2"},
  };
  layout.prefixes = {"transformer.", ""};
  layout.ignored = {"pos_encoding"};
  return layout;
}

}  // namespace

Family ctrl_family() { return {"ctrl", {"ctrl"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
