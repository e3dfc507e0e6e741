// gpt-oss: heads with sinks, a window on every other layer, biases everywhere, and mixtures of
// stacked experts whose gates are kept within a limit. Source: transformers models/gpt_oss.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// What a file without any rope has.
RopeParameters default_rope() {
  RopeParameters rope;
  rope.type = RopeParameters::Type::kYarn;
  rope.theta = 150000.0;
  rope.factor = 32.0;
  rope.truncate = false;
  rope.original_positions = 4096;
  return rope;
}

MoeFfnSpec read_experts(const Config& config, const ModelSpec& spec) {
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_local_experts", "num_experts"}),
                    .n_experts = 128,
                    .top_k = 4,
                    .ffn_dim_key = {}});
  moe.router_bias = true;
  moe.expert.bias = true;
  moe.expert.clamped_gate = {.alpha = static_cast<float>(config.positive_or("swiglu_alpha", 1.702)),
                             .limit = static_cast<float>(config.positive_or("swiglu_limit", 7.0)),
                             .paired = true};
  return moe;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 201088,
                                                .hidden_size = 2880,
                                                .n_layers = 36,
                                                .n_heads = 64,
                                                .n_kv_heads = 8,
                                                .head_dim = 64,
                                                .ffn_dim = 2880,
                                                .max_positions = 131072,
                                                .norm_eps = 1e-5});
  if (hf::names_rope(config)) {
    hf::read_single_rope(config, spec, {.theta = 150000.0});
  } else {
    hf::use_rope(config, spec, default_rope());
  }
  const bool bias = config.bool_or("attention_bias", true);
  hf::set_attention_biases(spec, bias, bias);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back(i % 2 == 0);
  hf::read_layer_types(config, spec, hf::read_window(config, 128), windowed);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.sinks = true; });
  const MoeFfnSpec moe = read_experts(config, spec);
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  const std::vector<ModuleName> own = {
      {role::kSinks, "layers.#.self_attn.sinks"},
      {role::kRouter, "layers.#.mlp.router"},
      {role::kExpertGateUp, "layers.#.mlp.experts.gate_up_proj"},
      {role::kExpertDown, "layers.#.mlp.experts.down_proj"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  layout.transposed_experts = true;
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.copy("attention.sliding_window", "sliding_window");
  ModelSpec spec = members.read(from_hf);
  RopeParameters rope = gguf::read_rope(config, spec, device::RopeStyle::kHalves);
  rope.truncate = false;
  spec.ropes.clear();
  gguf::add_rope(checkpoint, rope, spec);
  for (LayerSpec& layer : spec.layers) {
    // Gates and ups are apart.
    std::get<MoeFfnSpec>(layer.ffn).expert.clamped_gate->paired = false;
  }
  return spec;
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout_with(
      {{role::kSinks, "blk.#.attn_sinks.weight"}, {role::kFfnNorm, "blk.#.post_attention_norm"}},
      {role::kMixerPostNorm, role::kGate, role::kUp, role::kDown});
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family gpt_oss_family() {
  return {"gpt_oss", {"gpt_oss"}, {"gpt-oss"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
