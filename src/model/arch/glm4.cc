// GLM-4 as of 2025 (0414): GLM with norms behind attention and FFN as well. Source: transformers
// models/glm4.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 151552,
                                                .n_layers = 40,
                                                .n_kv_heads = 2,
                                                .head_dim = 128,
                                                .ffn_dim = 13696,
                                                .max_positions = 131072,
                                                .norm_eps = 0.00000015625});
  hf::set_attention_biases(spec, config.bool_or("attention_bias", true), false);
  hf::read_single_rope(config, spec, {.style = device::RopeStyle::kInterleaved, .partial = 0.5});
  for (LayerSpec& layer : spec.layers) layer.residual.norm_after = true;
  return spec;
}

/// The text of GLM-4V, whose RoPE has three axes, which are equal without images.
ModelSpec text_from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 151552,
                                                .n_layers = 40,
                                                .n_kv_heads = 2,
                                                .ffn_dim = 13696,
                                                .max_positions = 32768,
                                                .norm_eps = 1e-5});
  hf::set_attention_biases(spec, true, false);
  hf::read_single_rope(config, spec, {.style = device::RopeStyle::kInterleaved, .partial = 1.0});
  for (LayerSpec& layer : spec.layers) layer.residual.norm_after = true;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  layout.modules.push_back({role::kGateUp, "layers.#.mlp.gate_up_proj"});
  layout.modules.push_back({role::kDown, "layers.#.mlp.down_proj"});
  layout.modules.push_back({role::kMixerPostNorm, "layers.#.post_self_attn_layernorm"});
  layout.modules.push_back({role::kFfnPostNorm, "layers.#.post_mlp_layernorm"});
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  return members.read(from_hf);
}

}  // namespace

Family glm4v_text_family() {
  return {"glm4v_text", {"glm4v_text"}, {}, text_from_hf, nullptr, hf_layout(), {}};
}

Family glm4_family() {
  return {"glm4",
          {"glm4"},
          {"glm4"},
          from_hf,
          from_gguf,
          hf_layout(),
          gguf::layout_with({{role::kGateUp, "blk.#.ffn_up"}, {role::kDown, "blk.#.ffn_down"}},
                            {role::kGate, role::kUp})};
}

}  // namespace openllm::model
