// EXAONE 3: llama under names of its own. Sources: transformers models/exaone, llama.cpp's
// "exaone" architecture.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(
      config, {.vocab_size = 102400,
               .n_kv_heads = 8,
               .ffn_dim = 14336,
               .max_positions = 4096,
               .norm_eps = 1e-5,
               .activation_key = config.first_of({"hidden_act", "activation_function"}),
               .names = {.n_layers = "num_layers"}});
  spec.norm.eps = static_cast<float>(
      config.not_negative_or(config.first_of({"rms_norm_eps", "layer_norm_epsilon"}), 1e-5));
  hf::read_single_rope(config, spec, {.theta = 500000.0});
  hf::read_attention_bias(config, spec);
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "wte"},
      {role::kFinalNorm, "ln_f"},
      {role::kHead, "lm_head", true},
      {role::kMixerNorm, "h.#.ln_1"},
      {role::kQ, "h.#.attn.attention.q_proj"},
      {role::kK, "h.#.attn.attention.k_proj"},
      {role::kV, "h.#.attn.attention.v_proj"},
      {role::kAttentionOutput, "h.#.attn.attention.out_proj"},
      {role::kFfnNorm, "h.#.ln_2"},
      {role::kGate, "h.#.mlp.c_fc_0"},
      {role::kUp, "h.#.mlp.c_fc_1"},
      {role::kDown, "h.#.mlp.c_proj"},
  };
  // transformers runs it as its Llama, whose names its adapters have.
  const ModuleLayout llama = hf::llama_layout();
  layout.modules.insert(layout.modules.end(), llama.modules.begin(), llama.modules.end());
  layout.prefixes = {"transformer.", "model."};
  layout.ignored = {"h.#.attn.attention.rotary.inv_freq", "h.#.attn.attention.rotary_emb.inv_freq"};
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  return members.copy("block_count", "num_layers").read(from_hf);
}

}  // namespace

Family exaone_family() {
  return {"exaone", {"exaone"}, {"exaone"}, from_hf, from_gguf, hf_layout(), gguf::layout()};
}

}  // namespace openllm::model
