// TeleChat 1 and 2: llama whose keys and values are one tensor, head by head, and whose outputs
// have biases. Source: the published modeling_telechat.py.

#include <algorithm>
#include <cmath>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// The base depends on how much longer than base_seqlen training was; sequences beyond
/// training_seqlen would stretch it further, so none are taken.
void read_rope(const Config& config, ModelSpec& spec) {
  const int base = config.int_or("base_seqlen", 8192, 1, kMaxPositions);
  const int trained = config.int_or("training_seqlen", base, 1, kMaxPositions);
  const double doublings = std::ceil(std::log2(static_cast<double>(trained) / base) + 1.0);
  const double alpha = std::max(std::exp2(doublings) - 1.0, 1.0);
  const double dims = attention_of(spec, 0).head_dim;
  if (dims <= 2.0)
    config.unsupported("hidden_size", "RoPE needs heads of more than 2 dimensions (got ", dims,
                       ")");
  RopeParameters rope;
  rope.theta = 10000.0 * std::pow(alpha, dims / (dims - 2.0));
  hf::use_rope(config, spec, rope);
  spec.max_positions = std::min(spec.max_positions, trained);
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 160256,
                                                .n_layers = 30,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 12288,
                                                .max_positions = 1 << 20,
                                                .names = {.n_layers = "n_layer",
                                                          .n_heads = "n_head",
                                                          .ffn_dim = "ffn_hidden_size",
                                                          .max_positions = "seq_length"}});
  spec.norm.eps = static_cast<float>(config.not_negative_or("layer_norm_epsilon", 1e-5));
  spec.embedding.has_norm = config.bool_or("embed_layernorm", false);
  hf::set_attention_biases(spec, false, true);
  each_ffn(spec, [](DenseFfnSpec& ffn) { ffn.down_bias = true; });
  const bool residual_behind = config.bool_or("apply_residual_connection_post_layernorm", false);
  for (LayerSpec& layer : spec.layers) layer.residual.norm_stream = residual_behind;
  read_rope(config, spec);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "word_embeddings"},
      {role::kEmbeddingNorm, "word_embeddings_layernorm"},
      {role::kFinalNorm, "ln_f"},
      {role::kHead, "lm_head", true},
      {role::kMixerNorm, "h.#.input_layernorm"},
      {role::kQ, "h.#.self_attention.query"},
      {role::kKv, "h.#.self_attention.key_value"},
      {role::kAttentionOutput, "h.#.self_attention.dense"},
      {role::kFfnNorm, "h.#.post_attention_layernorm"},
      {role::kGate, "h.#.mlp.gate_proj"},
      {role::kUp, "h.#.mlp.up_proj"},
      {role::kDown, "h.#.mlp.down_proj"},
  };
  layout.prefixes = {"transformer.", ""};
  return layout;
}

}  // namespace

Family telechat_family() {
  return {"telechat", {"telechat"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
