// Falcon. The 7B kind has one head of keys and values and one norm for attention and FFN side by
// side; the 40B kind (new_decoder_architecture) has groups and two norms; the RW kind has ALiBi and
// layers in the usual order. Source: transformers models/falcon.

#include <cmath>

#include "model/arch/alibi.h"
#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

void read_attention(const Config& config, bool is_new, ModelSpec& spec) {
  const bool multi_query = config.bool_or("multi_query", true);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    if (is_new) {
      attention.fused.n_groups = attention.n_kv_heads;
    } else if (multi_query) {
      attention.n_kv_heads = 1;
    } else {
      attention.n_kv_heads = attention.n_heads;
      attention.fused.n_groups = attention.n_heads;
    }
  });
  const bool bias = config.bool_or("bias", false);
  hf::set_attention_biases(spec, bias, bias);
  if (!config.bool_or("alibi", false)) {
    hf::read_single_rope(config, spec);
    return;
  }
  // The bias is added before the scores are scaled.
  const SelfAttentionSpec& first = attention_of(spec, 0);
  spec.position_biases.push_back(alibi(first.n_heads, first.scale));
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.position_bias = 0; });
}

ModelSpec from_hf(const Config& config) {
  const bool is_new = config.bool_or("new_decoder_architecture", false);
  ModelSpec spec = hf::read_llama_like(
      config, {.vocab_size = 65024,
               .hidden_size = 4544,
               .n_layers = 32,
               .n_heads = 71,
               .ignores_head_dim = true,
               .ffn_dim = 0,
               .max_positions = 2048,
               .tied = true,
               .activation_key = "activation",
               .activation = "gelu",
               .names = {.hidden_size = "n_embed",
                         .n_layers = "n_layer",
                         .n_heads = "n_head",
                         .n_kv_heads = is_new ? "num_kv_heads" : std::string_view(),
                         .ffn_dim = "ffn_hidden_size"}});
  hf::use_layer_norm(config, spec, "layer_norm_epsilon", 1e-5);
  hf::use_plain_ffn(spec, config.bool_or("bias", false));
  read_attention(config, is_new, spec);
  const bool parallel = is_new || config.bool_or("parallel_attn", true);
  const int n_norms = config.int_or("num_ln_in_parallel_attn", is_new ? 2 : 1, 1, 2);
  for (LayerSpec& layer : spec.layers) {
    layer.residual.parallel = parallel;
    layer.residual.shared_norm = parallel && !(is_new && n_norms == 2);
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "word_embeddings"},
      {role::kFinalNorm, "ln_f"},
      {role::kHead, "lm_head", true},
      {role::kQkv, "h.#.self_attention.query_key_value"},
      {role::kMixerNorm, "h.#.input_layernorm"},
      {role::kMixerNorm, "h.#.ln_attn"},
      {role::kAttentionOutput, "h.#.self_attention.dense"},
      {role::kFfnNorm, "h.#.post_attention_layernorm"},
      {role::kFfnNorm, "h.#.ln_mlp"},
      {role::kUp, "h.#.mlp.dense_h_to_4h"},
      {role::kDown, "h.#.mlp.dense_4h_to_h"},
  };
  layout.prefixes = {"transformer.", ""};
  layout.ignored = {"h.#.self_attention.rotary_emb.inv_freq"};
  return layout;
}

/// The kind with ALiBi has no place in GGUF. Rows of Q, K and V are in order there.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  const bool has_two_norms = members.some_layer_has("attn_norm_2.weight");
  const int n_kv_heads = config.int_or("attention.head_count_kv", 1, 1, kMaxHeads);
  members.set("new_decoder_architecture", has_two_norms || n_kv_heads > 1)
      .set("num_ln_in_parallel_attn", has_two_norms ? 2 : 1);
  ModelSpec spec = members.read(from_hf);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.fused.undone = true; });
  return spec;
}

ModuleLayout gguf_layout() {
  return gguf::layout_with({{role::kQkv, "blk.#.attn_qkv"},
                            {role::kMixerNorm, "blk.#.attn_norm_2"},
                            {role::kMixerNorm, "blk.#.attn_norm"},
                            {role::kFfnNorm, "blk.#.attn_norm"}},
                           {role::kQ, role::kK, role::kV, role::kQNorm, role::kKNorm, role::kGate});
}

}  // namespace

Family falcon_family() {
  return {"falcon",     {"falcon", "RefinedWeb", "RefinedWebModel"},
          {"falcon"},   from_hf,
          from_gguf,    hf_layout(),
          gguf_layout()};
}

}  // namespace openllm::model
