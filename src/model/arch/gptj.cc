// GPT-J: LayerNorm, attention and FFN side by side behind one norm, RoPE that turns neighbours in
// the first dimensions of each head, a head with a bias. Source: transformers models/gptj.

#include "model/arch/gptj.h"

#include "model/arch/family.h"

namespace openllm::model {

ModelSpec read_gptj(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50400,
                                                .hidden_size = 4096,
                                                .n_layers = 28,
                                                .n_heads = 16,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 0,
                                                .max_positions = 2048,
                                                .activation_key = "activation_function",
                                                .activation = "gelu_new",
                                                .names = {.hidden_size = "n_embd",
                                                          .n_layers = "n_layer",
                                                          .n_heads = "n_head",
                                                          .ffn_dim = "n_inner",
                                                          .max_positions = "n_positions"}});
  hf::use_layer_norm(config, spec, "layer_norm_epsilon", 1e-5);
  hf::use_plain_ffn(spec, true);
  RopeParameters rope;
  rope.style = device::RopeStyle::kInterleaved;
  rope.head_dim = attention_of(spec, 0).head_dim;
  rope.n_rotary = rope.head_dim;
  if (!config.mentions("rotary_dim") || config.has("rotary_dim")) {
    rope.n_rotary = config.int_or("rotary_dim", 64, 2, rope.head_dim);
  }
  if (rope.n_rotary % 2 != 0) {
    config.corrupt("rotary_dim", "bad value (expected an even number, got ", rope.n_rotary, ")");
  }
  const int index = hf::add_rope(spec, rope);
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.rope = index; });
  spec.head->bias = true;
  for (LayerSpec& layer : spec.layers) {
    layer.residual.parallel = true;
    layer.residual.shared_norm = true;
  }
  return spec;
}

namespace {

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "wte"},      {role::kFinalNorm, "ln_f"},
      {role::kHead, "lm_head", true}, {role::kMixerNorm, "h.#.ln_1"},
      {role::kQ, "h.#.attn.q_proj"},  {role::kK, "h.#.attn.k_proj"},
      {role::kV, "h.#.attn.v_proj"},  {role::kAttentionOutput, "h.#.attn.out_proj"},
      {role::kUp, "h.#.mlp.fc_in"},   {role::kDown, "h.#.mlp.fc_out"},
  };
  layout.prefixes = {"transformer.", ""};
  layout.ignored = {"h.#.attn.bias", "h.#.attn.masked_bias"};
  return layout;
}

}  // namespace

Family gptj_family() { return {"gptj", {"gptj"}, {}, read_gptj, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
