// GPT-NeoX (Pythia, Dolly, StableLM alpha): LayerNorm, attention and FFN side by side, one QKV
// whose rows go head by head, RoPE on the first quarter of each head. Source: transformers
// models/gpt_neox.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50432,
                                                .hidden_size = 6144,
                                                .n_layers = 44,
                                                .n_heads = 64,
                                                .ffn_dim = 24576,
                                                .activation = "gelu"});
  hf::use_layer_norm(config, spec, "layer_norm_eps", 1e-5);
  hf::use_plain_ffn(spec, true);
  const bool bias = config.bool_or("attention_bias", true);
  hf::set_attention_biases(spec, bias, bias);
  each_attention(spec, [](SelfAttentionSpec& attention) {
    if (attention.n_kv_heads == attention.n_heads) attention.fused.n_groups = attention.n_heads;
  });
  hf::read_single_rope(
      config, spec, {.theta_key = "rotary_emb_base", .partial = 0.25, .partial_key = "rotary_pct"});
  const bool parallel = config.bool_or("use_parallel_residual", true);
  for (LayerSpec& layer : spec.layers) layer.residual.parallel = parallel;
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
      {role::kHead, "lm_head", true},
  };
  layout.prefixes = {"gpt_neox.", ""};
  layout.ignored = {"layers.#.attention.bias", "layers.#.attention.masked_bias",
                    "layers.#.attention.rotary_emb.inv_freq"};
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  const gguf::Members members(config, checkpoint);
  ModelSpec spec = members.read(from_hf);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.fused.undone = true; });
  return spec;
}

ModuleLayout gguf_layout() {
  return gguf::layout_with({{role::kQkv, "blk.#.attn_qkv"}},
                           {role::kQ, role::kK, role::kV, role::kGate});
}

}  // namespace

Family gpt_neox_family() {
  return {"gpt_neox", {"gpt_neox"}, {"gptneox"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
