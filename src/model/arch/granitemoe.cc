// Granite, MoE: Granite with a mixture on every layer, whose experts are stacked; of the chosen
// experts alone the weights are normalised. Source: transformers models/granitemoe.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  hf::read_granite_multipliers(config, spec);
  // A softmax over the chosen scores is one over all scores, normalised to those.
  const MoeFfnSpec moe = hf::read_moe(
      config, spec,
      {.n_experts_key = "num_local_experts", .n_experts = 8, .top_k = 2, .ffn_dim_key = {}});
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  layout.modules.push_back({role::kRouter, "layers.#.block_sparse_moe.router.layer"});
  layout.modules.push_back({role::kRouter, "layers.#.block_sparse_moe.router"});
  layout.modules.push_back({role::kExpertGateUp, "layers.#.block_sparse_moe.input_linear"});
  layout.modules.push_back({role::kExpertDown, "layers.#.block_sparse_moe.output_linear"});
  layout.modules.push_back({role::kExpertGateUp, "layers.#.block_sparse_moe.experts.gate_up_proj"});
  layout.modules.push_back({role::kExpertDown, "layers.#.block_sparse_moe.experts.down_proj"});
  return layout;
}

}  // namespace

Family granitemoe_family() {
  return {"granitemoe", {"granitemoe"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
