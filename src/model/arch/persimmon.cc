// Persimmon: LayerNorm, a QKV whose rows go head by head, LayerNorms on the heads of Q and K, plain
// FFNs with squared ReLU, RoPE on the first half of each head. Source: transformers
// models/persimmon.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 262144,
                                                .n_layers = 36,
                                                .n_heads = 64,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 16384,
                                                .max_positions = 16384,
                                                .activation = "relu2"});
  hf::use_layer_norm(config, spec, "layer_norm_eps", 1e-5);
  hf::use_plain_ffn(spec, true);
  hf::set_attention_biases(spec, true, true);
  hf::read_single_rope(config, spec, {.partial = 0.5});
  const bool qk_norm = config.bool_or("qk_layernorm", true);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.n_kv_heads = attention.n_heads;
    attention.fused.n_groups = attention.n_heads;
    if (qk_norm) attention.qk_norm = QkNorm::kHead;
  });
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embed_tokens"},
      {role::kFinalNorm, "final_layernorm"},
      {role::kHead, "lm_head", true},
      {role::kMixerNorm, "layers.#.input_layernorm"},
      {role::kQkv, "layers.#.self_attn.query_key_value"},
      {role::kQNorm, "layers.#.self_attn.q_layernorm"},
      {role::kKNorm, "layers.#.self_attn.k_layernorm"},
      {role::kAttentionOutput, "layers.#.self_attn.dense"},
      {role::kFfnNorm, "layers.#.post_attention_layernorm"},
      {role::kUp, "layers.#.mlp.dense_h_to_4h"},
      {role::kDown, "layers.#.mlp.dense_4h_to_h"},
  };
  layout.prefixes = {"model.", ""};
  layout.ignored = {"layers.#.self_attn.rotary_emb.inv_freq"};
  return layout;
}

}  // namespace

Family persimmon_family() {
  return {"persimmon", {"persimmon"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
