// GLM-4.7-Flash: DeepSeek-V3 with other sizes. What predicts further tokens is left out. Source:
// transformers models/glm4_moe_lite.

#include "model/arch/deepseek.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec =
      read_latent_network(config,
                          {.vocab_size = 154880,
                           .hidden_size = 2048,
                           .n_layers = 47,
                           .n_kv_heads = 20,
                           .ffn_dim = 10240,
                           .max_positions = 202752,
                           .norm_eps = 1e-5},
                          {.n_heads = 20, .q_rank = 768, .nope_dim = 192, .value_dim = 256});
  each_ffn(spec, [](DenseFfnSpec& ffn) { ffn.bias = false; });
  MoeFfnSpec moe = read_deepseek3_moe(config, spec, 64, 1536, 1.8, 1, 1);
  moe.router.top_k = config.int_or("num_experts_per_tok", 4, 1, moe.router.n_experts);
  hf::place_moe_by_type(config, spec, moe, config.int_or("n_shared_experts", 1, 0, kMaxExperts),
                        config.int_or("first_k_dense_replace", 1, 0, kMaxLayers));
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = deepseek_layout();
  layout.ignored.push_back("layers.47.*");
  return layout;
}

}  // namespace

Family glm4_moe_lite_family() {
  return {"glm4_moe_lite", {"glm4_moe_lite"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
