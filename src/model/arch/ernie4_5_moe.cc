// ERNIE 4.5, MoE: ERNIE 4.5 with a mixture on some layers, whose choice is shifted, and shared
// experts. Source: transformers models/ernie4_5_moe.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 103424,
                                                .hidden_size = 2560,
                                                .n_layers = 28,
                                                .n_heads = 20,
                                                .n_kv_heads = 4,
                                                .ffn_dim = 12288,
                                                .max_positions = 131072,
                                                .norm_eps = 1e-5,
                                                .tied = true});
  hf::read_single_rope(config, spec, {.theta = 500000.0, .style = device::RopeStyle::kInterleaved});
  const bool bias = config.bool_or("use_bias", false);
  hf::set_attention_biases(spec, bias, bias);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = bias; });
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_experts", "moe_num_experts"}),
                    .top_k_key = config.first_of({"num_experts_per_tok", "moe_k"}),
                    .top_k = 6,
                    .ffn_dim = 1536});
  moe.router_correction = true;
  const int n_shared = config.int_or("moe_num_shared_experts", 2, 0, kMaxExperts);
  if (n_shared > 0) {
    moe.shared = moe.expert;
    moe.shared->bias = bias;
    moe.shared->ffn_dim = moe.expert.ffn_dim * n_shared;
  }
  const int first = config.int_or("moe_layer_start_index", 1, 0, kMaxLayers);
  const int last = config.int_or("moe_layer_end_index", -1, -1, kMaxLayers);
  const int interval = config.int_or("moe_layer_interval", 1, 1, kMaxLayers);
  for (int i = first; i < spec.n_layers() && (last < 0 || i <= last); ++i) {
    if ((i + 1) % interval == 0) spec.layers[static_cast<std::size_t>(i)].ffn = moe;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  layout.modules.push_back(
      {role::kRouterCorrection, "layers.#.mlp.moe_statics.e_score_correction_bias"});
  layout.modules.push_back(
      {role::kRouterCorrection, "layers.#.mlp.gate.moe_statics.e_score_correction_bias"});
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.copy("interleave_moe_layer_step", "moe_layer_interval");
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family ernie4_5_moe_family() {
  return {"ernie4_5_moe", {"ernie4_5_moe"}, {"ernie4_5-moe"}, from_hf,
          from_gguf,      hf_layout(),      gguf_layout()};
}

}  // namespace openllm::model
