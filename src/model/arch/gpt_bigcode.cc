// GPT-BigCode (StarCoder, SantaCoder): GPT-2 with one head of keys and values for all queries, and
// linears that are not transposed. Source: transformers models/gpt_bigcode.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  if (config.bool_or("add_cross_attention", false)) {
    config.unsupported("add_cross_attention", "cross attention is not supported");
  }
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50257,
                                                .hidden_size = 768,
                                                .n_layers = 12,
                                                .n_heads = 12,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 0,
                                                .max_positions = 1024,
                                                .tied = true,
                                                .activation_key = "activation_function",
                                                .activation = "gelu_pytorch_tanh",
                                                .names = {.hidden_size = "n_embd",
                                                          .n_layers = "n_layer",
                                                          .n_heads = "n_head",
                                                          .ffn_dim = "n_inner",
                                                          .max_positions = "n_positions"}});
  hf::use_layer_norm(config, spec, "layer_norm_epsilon", 1e-5);
  hf::use_plain_ffn(spec, true);
  hf::set_attention_biases(spec, true, true);
  const bool multi_query = config.bool_or("multi_query", true);
  const bool scaled = config.bool_or("scale_attn_weights", true);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.n_kv_heads = multi_query ? 1 : attention.n_heads;
    if (!multi_query) attention.fused.n_groups = attention.n_heads;
    if (!scaled) attention.scale = 1.0F;
  });
  spec.embedding.n_positions = spec.max_positions;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "wte"},
      {role::kPositions, "wpe"},
      {role::kFinalNorm, "ln_f"},
      {role::kHead, "lm_head", true},
      {role::kMixerNorm, "h.#.ln_1"},
      {role::kQkv, "h.#.attn.c_attn"},
      {role::kAttentionOutput, "h.#.attn.c_proj"},
      {role::kFfnNorm, "h.#.ln_2"},
      {role::kUp, "h.#.mlp.c_fc"},
      {role::kDown, "h.#.mlp.c_proj"},
  };
  layout.prefixes = {"transformer.", ""};
  layout.ignored = {"h.#.attn.bias", "h.#.attn.masked_bias"};
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.set("multi_query", config.int_or("attention.head_count_kv", 1, 1, kMaxHeads) == 1);
  ModelSpec spec = members.read(from_hf);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.fused.undone = true; });
  return spec;
}

}  // namespace

Family gpt_bigcode_family() {
  return {"gpt_bigcode",
          {"gpt_bigcode"},
          {"starcoder"},
          from_hf,
          from_gguf,
          hf_layout(),
          gguf::layout_with({{role::kQkv, "blk.#.attn_qkv"}},
                            {role::kQ, role::kK, role::kV, role::kGate})};
}

}  // namespace openllm::model
