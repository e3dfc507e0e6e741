// Sarvam's large model: DeepSeek-V3 with other sizes and names. Source: transformers
// models/sarvam_mla.

#include "model/arch/deepseek.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec =
      read_latent_network(config, {.vocab_size = 262144, .ffn_dim = 16384, .max_positions = 4096},
                          {.n_heads = 64, .q_rank = 0});
  MoeFfnSpec moe = hf::read_moe(
      config, spec,
      {.n_experts_key = config.first_of({"num_local_experts", "num_experts", "n_routed_experts"}),
       .n_experts = 128,
       .ffn_dim = 2048});
  hf::read_sigmoid_router(config, moe, 2.5, 1, 1, true);
  const int n_shared =
      config.int_or(config.first_of({"num_shared_experts", "n_shared_experts"}), 1, 0, kMaxExperts);
  hf::place_moe_by_type(config, spec, moe, n_shared,
                        config.int_or("first_k_dense_replace", 1, 0, kMaxLayers));
  return spec;
}

}  // namespace

Family sarvam_mla_family() {
  return {"sarvam_mla", {"sarvam_mla"}, {}, from_hf, nullptr, deepseek_layout(), {}};
}

}  // namespace openllm::model
