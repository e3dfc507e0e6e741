// Hunyuan V3: llama with norms on the heads of Q and K and mixtures of experts whose scores go
// through a sigmoid, beside shared ones. Source: transformers models/hy_v3.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 120832,
                                                .n_layers = 80,
                                                .n_heads = 64,
                                                .n_kv_heads = 8,
                                                .head_dim = 128,
                                                .ffn_dim = 13312,
                                                .max_positions = 131072,
                                                .norm_eps = 1e-5});
  hf::read_single_rope(config, spec, {.theta = 11158840.0});
  hf::read_attention_bias(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_experts", "num_local_experts"}),
                    .n_experts = 192,
                    .ffn_dim = 1536});
  moe.router.score = device::RouterSpec::Score::kSigmoid;
  moe.router.scale = static_cast<float>(config.positive_or("router_scaling_factor", 2.826));
  moe.router_correction = true;
  hf::place_moe_by_type(config, spec, moe, config.int_or("num_shared_experts", 1, 0, kMaxExperts),
                        1);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  const std::vector<ModuleName> own = {
      {role::kRouterCorrection, "layers.#.mlp.e_score_correction_bias"},
      {role::kRouterCorrection, "layers.#.mlp.expert_bias"},
      {role::kRouter, "layers.#.mlp.router.gate"},
      {role::kSharedGate, "layers.#.mlp.shared_mlp.gate_proj"},
      {role::kSharedUp, "layers.#.mlp.shared_mlp.up_proj"},
      {role::kSharedDown, "layers.#.mlp.shared_mlp.down_proj"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.copy("expert_weights_scale", "router_scaling_factor");
  base::JsonArray kinds;
  for (const bool is_mixture : members.layers_with_tensor("ffn_gate_inp.weight"))
    kinds.emplace_back(is_mixture ? "sparse" : "dense");
  members.set("mlp_layer_types", std::move(kinds));
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  layout.modules.push_back({role::kRouterCorrection, "blk.#.exp_probs_b"});
  return layout;
}

}  // namespace

Family hy_v3_family() {
  return {"hy_v3", {"hy_v3"}, {"hy_v3"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
