// LFM2, MoE: LFM2 with a mixture behind its first dense layers; scores by sigmoid, with a
// correction for the choice. Source: transformers models/lfm2_moe.

#include "model/arch/family.h"
#include "model/arch/hybrid.h"
#include "model/arch/lfm2.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_lfm2(config, {.vocab_size = 65536,
                                      .hidden_size = 2048,
                                      .n_kv_heads = 8,
                                      .ffn_dim = 7168,
                                      .max_positions = 128000,
                                      .rope_theta = 1000000.0,
                                      .tied = true});
  each_ffn(spec, [](DenseFfnSpec& ffn) { ffn.activation = device::Activation::kSilu; });
  MoeFfnSpec moe = hf::read_moe(config, spec, {.n_experts = 32, .top_k = 4, .ffn_dim = 1792});
  moe.router.score = device::RouterSpec::Score::kSigmoid;
  moe.router.normalise = config.bool_or("norm_topk_prob", true);
  moe.router.scale = static_cast<float>(config.positive_or("routed_scaling_factor", 1.0));
  moe.router_correction = config.bool_or("use_expert_bias", true);
  const int n_dense = config.int_or("num_dense_layers", 2, 0, kMaxLayers);
  for (int i = n_dense; i < spec.n_layers(); ++i)
    spec.layers[static_cast<std::size_t>(i)].ffn = moe;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = lfm2_layout();
  hf::add(layout, {{role::kRouter, "layers.#.feed_forward.gate"},
                   {role::kRouterCorrection, "layers.#.feed_forward.expert_bias"},
                   {role::kExpertGate, "layers.#.feed_forward.experts.@.w1"},
                   {role::kExpertUp, "layers.#.feed_forward.experts.@.w3"},
                   {role::kExpertDown, "layers.#.feed_forward.experts.@.w2"},
                   {role::kExpertGateUp, "layers.#.feed_forward.experts.gate_up_proj"},
                   {role::kExpertDown, "layers.#.feed_forward.experts.down_proj"}});
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  read_lfm2_members(members);
  members.set("num_dense_layers", config.int_or("leading_dense_block_count", 0, 0, kMaxLayers))
      .set("use_expert_bias", members.some_layer_has("exp_probs_b.bias"));
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = lfm2_gguf_layout();
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family lfm2_moe_family() {
  return {"lfm2_moe", {"lfm2_moe"}, {"lfm2moe"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
