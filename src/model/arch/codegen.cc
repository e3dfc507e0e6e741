// CodeGen: GPT-J with one QKV, made for four devices: each has its queries, then values, then keys.
// Source: transformers models/codegen.

#include "model/arch/family.h"
#include "model/arch/gptj.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  constexpr int kDevices = 4;
  ModelSpec spec = read_gptj(config);
  const int n_heads = attention_of(spec, 0).n_heads;
  if (n_heads % kDevices != 0) {
    config.corrupt("n_head", "bad value (expected a multiple of ", kDevices, ", got ", n_heads,
                   ")");
  }
  each_attention(spec, [](SelfAttentionSpec& attention) {
    attention.fused = {.n_groups = kDevices, .value_before_key = true};
  });
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "wte"},         {role::kFinalNorm, "ln_f"},
      {role::kHead, "lm_head", true},    {role::kMixerNorm, "h.#.ln_1"},
      {role::kQkv, "h.#.attn.qkv_proj"}, {role::kAttentionOutput, "h.#.attn.out_proj"},
      {role::kUp, "h.#.mlp.fc_in"},      {role::kDown, "h.#.mlp.fc_out"},
  };
  layout.prefixes = {"transformer.", ""};
  layout.ignored = {"h.#.attn.causal_mask", "h.#.attn.bias", "h.#.attn.masked_bias"};
  return layout;
}

}  // namespace

Family codegen_family() { return {"codegen", {"codegen"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
