// Aria, the text: llama with a mixture of experts beside shared ones on every layer. Source:
// transformers models/aria.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.ffn_dim = 4096});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  // Experts, and their likes for every row, have no biases, whatever the file says of FFNs.
  MoeFfnSpec moe = hf::read_moe(config, spec,
                                {.n_experts_key = "moe_num_experts",
                                 .n_experts = 8,
                                 .top_k_key = "moe_topk",
                                 .top_k = 2,
                                 .ffn_dim_key = ""});
  moe.expert.activation = device::Activation::kSilu;
  moe.shared = std::get<DenseFfnSpec>(spec.layers[0].ffn);
  moe.shared->ffn_dim *= config.int_or("moe_num_shared_experts", 2, 1, kMaxExperts);
  moe.shared->bias = config.bool_or("mlp_bias", false);
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_shared_experts(layout);
  const std::vector<ModuleName> own = {
      {role::kRouter, "layers.#.mlp.router"},
      {role::kExpertGateUp, "layers.#.mlp.experts.gate_up_proj"},
      {role::kExpertGateUp, "layers.#.mlp.experts.fc1"},
      {role::kExpertDown, "layers.#.mlp.experts.down_proj"},
      {role::kExpertDown, "layers.#.mlp.experts.fc2"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  layout.transposed_experts = true;
  return layout;
}

}  // namespace

Family aria_text_family() {
  return {"aria_text", {"aria_text"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
