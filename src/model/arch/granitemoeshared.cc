// Granite MoE with an FFN that every row goes through. Source: transformers
// models/granitemoeshared.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  hf::read_granite_multipliers(config, spec);
  MoeFfnSpec moe = hf::read_moe(
      config, spec,
      {.n_experts_key = "num_local_experts", .n_experts = 8, .top_k = 2, .ffn_dim_key = {}});
  const int shared = config.int_or("shared_intermediate_size", 0, 0, kMaxFfnDim);
  if (shared > 0) {
    moe.shared = moe.expert;
    moe.shared->ffn_dim = shared;
  }
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  const std::vector<ModuleName> own = {
      {role::kRouter, "layers.#.block_sparse_moe.router.layer"},
      {role::kRouter, "layers.#.block_sparse_moe.router"},
      {role::kExpertGateUp, "layers.#.block_sparse_moe.input_linear"},
      {role::kExpertDown, "layers.#.block_sparse_moe.output_linear"},
      {role::kExpertGateUp, "layers.#.block_sparse_moe.experts.gate_up_proj"},
      {role::kExpertDown, "layers.#.block_sparse_moe.experts.down_proj"},
      {role::kSharedGateUp, "layers.#.shared_mlp.input_linear"},
      {role::kSharedDown, "layers.#.shared_mlp.output_linear"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  return gguf::Members(config, checkpoint).read(from_hf, gguf::Members::Heads::kPaired);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout_with({}, {role::kGate, role::kUp, role::kDown});
  gguf::add_experts(layout);
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family granitemoeshared_family() {
  return {"granitemoeshared", {"granitemoeshared"}, {"granitemoe"}, from_hf,
          from_gguf,          hf_layout(),          gguf_layout()};
}

}  // namespace openllm::model
