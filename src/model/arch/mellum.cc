// Mellum: Qwen 3 MoE with windows on some layers and a RoPE for each kind. Source: transformers
// models/mellum.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 98304,
                                                .hidden_size = 2304,
                                                .n_layers = 28,
                                                .n_kv_heads = 4,
                                                .head_dim = 128,
                                                .ffn_dim = 7168,
                                                .max_positions = 131072});
  hf::read_layer_types(config, spec, hf::read_window(config, 1024),
                       std::vector<bool>(spec.layers.size(), false));
  hf::read_ropes_by_type(config, spec,
                         {.theta = config.has("rope_parameters") ? 10000.0 : 500000.0});
  hf::read_attention_bias(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  MoeFfnSpec moe = hf::read_moe(
      config, spec,
      {.n_experts_key = config.first_of({"num_local_experts", "num_experts"}), .ffn_dim = 896});
  moe.router.normalise = config.bool_or("norm_topk_prob", true);
  hf::place_moe_by_type(config, spec, moe, 0, 0);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  return layout;
}

}  // namespace

Family mellum_family() { return {"mellum", {"mellum"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
