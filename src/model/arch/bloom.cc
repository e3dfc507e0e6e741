// BLOOM: ALiBi, LayerNorm behind the embedding, one QKV whose rows go head by head. Source:
// transformers models/bloom.

#include "model/arch/alibi.h"
#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  if (config.bool_or("apply_residual_connection_post_layernorm", false)) {
    config.unsupported("apply_residual_connection_post_layernorm",
                       "residuals behind the norm are not supported");
  }
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 250880,
                                                .hidden_size = 64,
                                                .n_layers = 2,
                                                .n_heads = 8,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 0,
                                                .max_positions = 2048,
                                                .tied = true,
                                                .activation_key = "activation_function",
                                                .activation = "gelu_new",
                                                .names = {.hidden_size = "n_embed",
                                                          .n_layers = "n_layer",
                                                          .n_heads = "n_head",
                                                          .max_positions = "seq_length"}});
  hf::use_layer_norm(config, spec, "layer_norm_epsilon", 1e-5);
  hf::use_plain_ffn(spec, true);
  hf::set_attention_biases(spec, true, true);
  spec.position_biases.push_back(alibi(attention_of(spec, 0).n_heads));
  each_attention(spec, [](SelfAttentionSpec& attention) {
    attention.fused.n_groups = attention.n_heads;
    attention.position_bias = 0;
  });
  spec.embedding.has_norm = true;
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
      {role::kQkv, "h.#.self_attention.query_key_value"},
      {role::kAttentionOutput, "h.#.self_attention.dense"},
      {role::kFfnNorm, "h.#.post_attention_layernorm"},
      {role::kUp, "h.#.mlp.dense_h_to_4h"},
      {role::kDown, "h.#.mlp.dense_4h_to_h"},
  };
  layout.prefixes = {"transformer.", ""};
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  const gguf::Members members(config, checkpoint);
  ModelSpec spec = members.read(from_hf);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.fused.undone = true; });
  return spec;
}

ModuleLayout gguf_layout() {
  return gguf::layout_with(
      {{role::kQkv, "blk.#.attn_qkv"}, {role::kEmbeddingNorm, "token_embd_norm"}},
      {role::kQ, role::kK, role::kV, role::kGate});
}

}  // namespace

Family bloom_family() {
  return {"bloom", {"bloom"}, {"bloom"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
