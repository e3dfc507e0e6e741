// Mixtral: Mistral with a mixture of experts for every FFN. In GGUF it is called llama.
// Source: transformers models/mixtral.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.n_kv_heads = 8;
  defaults.ffn_dim = 14336;
  defaults.max_positions = 4096 * 32;
  defaults.norm_eps = 1e-5;
  defaults.rope_theta = 1e6;
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::read_single_rope(config, spec, {.theta = defaults.rope_theta});
  if (const std::optional<int> window = config.find_int("sliding_window", 1, kMaxPositions)) {
    each_attention(spec, [&](SelfAttentionSpec& attention) { attention.window = *window; });
  }
  MoeFfnSpec moe;
  moe.router.n_experts = config.int_or("num_local_experts", 8, 1, kMaxExperts);
  moe.router.top_k = config.int_or("num_experts_per_tok", 2, 1, moe.router.n_experts);
  for (LayerSpec& layer : spec.layers) {
    moe.expert = std::get<DenseFfnSpec>(layer.ffn);
    layer.ffn = moe;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  layout.modules.push_back({role::kRouter, "layers.#.block_sparse_moe.gate"});
  layout.modules.push_back({role::kExpertGate, "layers.#.block_sparse_moe.experts.@.w1"});
  layout.modules.push_back({role::kExpertUp, "layers.#.block_sparse_moe.experts.@.w3"});
  layout.modules.push_back({role::kExpertDown, "layers.#.block_sparse_moe.experts.@.w2"});
  hf::add_experts(layout);  // as transformers 5 calls them
  return layout;
}

}  // namespace

Family mixtral_family() { return {"mixtral", {"mixtral"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
