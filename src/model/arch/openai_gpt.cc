// GPT, the first: learned positions, LayerNorms behind the sums, one QKV, transposed linears.
// Source: transformers models/openai.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 40478,
                                                .hidden_size = 768,
                                                .n_layers = 12,
                                                .n_heads = 12,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 1,
                                                .max_positions = 512,
                                                .tied = true,
                                                .activation_key = "afn",
                                                .activation = "gelu_new",
                                                .names = {.hidden_size = "n_embd",
                                                          .n_layers = "n_layer",
                                                          .n_heads = "n_head",
                                                          .max_positions = "n_positions"}});
  hf::use_layer_norm(config, spec, "layer_norm_epsilon", 1e-5);
  hf::use_plain_ffn(spec, true);
  each_ffn(spec, [&](DenseFfnSpec& ffn) {
    ffn.ffn_dim = 4 * spec.dim;
    // "gelu" is the tanh form here.
    if (ffn.activation == device::Activation::kGelu) ffn.activation = device::Activation::kGeluTanh;
  });
  hf::set_attention_biases(spec, true, true);
  spec.embedding.n_positions = spec.max_positions;
  spec.has_final_norm = false;
  for (LayerSpec& layer : spec.layers) {
    layer.residual.norm_before = false;
    layer.residual.norm_sum = true;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "tokens_embed"},
      {role::kPositions, "positions_embed"},
      {role::kHead, "lm_head", true},
      {role::kQkv, "h.#.attn.c_attn"},
      {role::kAttentionOutput, "h.#.attn.c_proj"},
      {role::kMixerPostNorm, "h.#.ln_1"},
      {role::kUp, "h.#.mlp.c_fc"},
      {role::kDown, "h.#.mlp.c_proj"},
      {role::kFfnPostNorm, "h.#.ln_2"},
  };
  layout.prefixes = {"transformer.", ""};
  layout.ignored = {"h.#.attn.bias", "position_ids"};
  layout.transposed = true;
  return layout;
}

}  // namespace

Family openai_gpt_family() {
  return {"openai_gpt", {"openai-gpt"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
