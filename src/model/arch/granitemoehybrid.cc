// Granite 4: Mamba 2 on most layers, attention on the others, with RoPE only on request; a mixture
// beside an FFN for every row, or that FFN alone. Source: transformers models/granitemoehybrid.

#include "model/arch/family.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

void read_ffns(const Config& config, ModelSpec& spec) {
  DenseFfnSpec shared = std::get<DenseFfnSpec>(spec.layers[0].ffn);
  shared.ffn_dim = config.int_or("shared_intermediate_size", 1024, 1, kMaxFfnDim);
  const int n_experts = config.int_or("num_local_experts", 8, 0, kMaxExperts);
  if (n_experts == 0) {
    for (LayerSpec& layer : spec.layers) layer.ffn = shared;
    return;
  }
  MoeFfnSpec moe = hf::read_moe(
      config, spec,
      {.n_experts_key = "num_local_experts", .n_experts = 8, .top_k = 2, .ffn_dim_key = {}});
  moe.shared = shared;
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {});
  const std::string position = config.string_or("position_embedding_type", "nope");
  if (position == "rope") {
    hf::read_single_rope(config, spec);
  } else if (position != "nope") {
    config.unsupported("position_embedding_type", "unknown (expected rope or nope, got ", position,
                       ")");
  }
  hf::read_attention_bias(config, spec);
  hf::read_granite_multipliers(config, spec);
  read_ffns(config, spec);
  const Mamba2Spec mamba = hf::read_mamba2(config, spec, {});
  std::vector<bool> attends(spec.layers.size(), false);
  const std::string_view key = config.first_of({"layers_block_type", "layer_types"});
  hf::read_kinds(config, key, {"full_attention", "attention"}, {"linear_attention", "mamba"},
                 attends);
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (!attends[i]) spec.layers[i].mixer = mamba;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  hf::add_mamba2(layout, false);
  hf::add(layout, {{role::kGateUp, "layers.#.shared_mlp.input_linear"},
                   {role::kDown, "layers.#.shared_mlp.output_linear"},
                   {role::kSharedGateUp, "layers.#.shared_mlp.input_linear"},
                   {role::kSharedDown, "layers.#.shared_mlp.output_linear"},
                   {role::kRouter, "layers.#.block_sparse_moe.router.layer"},
                   {role::kExpertGateUp, "layers.#.block_sparse_moe.input_linear"},
                   {role::kExpertDown, "layers.#.block_sparse_moe.output_linear"}});
  return layout;
}

}  // namespace

Family granitemoehybrid_family() {
  return {"granitemoehybrid", {"granitemoehybrid"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
