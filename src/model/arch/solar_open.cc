// Solar Open: llama with GLM-4.5's mixtures on every layer. Source: transformers models/solar_open.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 196608,
                                                .n_layers = 48,
                                                .n_heads = 64,
                                                .n_kv_heads = 8,
                                                .head_dim = 128,
                                                .max_positions = 131072,
                                                .norm_eps = 1e-5});
  hf::read_single_rope(config, spec, {.theta = 1000000.0});
  hf::set_attention_biases(spec, config.bool_or("attention_bias", false), false);
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_local_experts", "n_routed_experts"}),
                    .n_experts = 128,
                    .ffn_dim = 1280});
  hf::read_sigmoid_router(config, moe, 1.0, 1, 1, true);
  hf::place_moe_by_type(config, spec, moe, config.int_or("n_shared_experts", 1, 0, kMaxExperts), 0);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  return layout;
}

}  // namespace

Family solar_open_family() {
  return {"solar_open", {"solar_open"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
