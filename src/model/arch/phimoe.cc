// Phi-3.5-MoE: Mixtral with LayerNorms, biases, and a router that weighs each expert among those
// near to it. Its long RoPE is that of transformers: short factors at any length, with a factor of
// cosines and sines of its own. Files of GGUF are computed likewise, where llama.cpp takes the
// norms for RMS norms and the router for a softmax. Sources: transformers models/phimoe,
// llama.cpp's "phimoe" architecture.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

void read_phimoe_rope(const Config& config, ModelSpec& spec) {
  hf::read_single_rope(config, spec, {.theta = 1000000.0});
  std::optional<Config> rope = config.object("rope_scaling");
  if (!rope || rope->empty()) rope = config.object("rope_parameters");
  if (!rope || rope->string_or(rope->first_of({"rope_type", "type"}), "default") == "default")
    return;
  const std::optional<double> before = rope->find_positive("short_mscale");
  const std::optional<double> beyond = rope->find_positive("long_mscale");
  if (!before || !beyond) {
    rope->corrupt(before ? "long_mscale" : "short_mscale", "missing (expected a positive number)");
  }
  if (*before != *beyond) {
    rope->unsupported("long_mscale", "other than short_mscale (expected ", *before, ", got ",
                      *beyond, ")");
  }
  spec.ropes[0].attention_factor = static_cast<float>(*before);
  spec.ropes[0].growth = {};
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 32064,
                                                .n_kv_heads = 8,
                                                .ffn_dim = 6400,
                                                .max_positions = 131072,
                                                .norm_eps = 1e-5});
  hf::use_layer_norm(config, spec, "rms_norm_eps", 1e-5);
  read_phimoe_rope(config, spec);
  hf::read_attention_bias(config, spec);
  if (const std::optional<int> window = config.find_int("sliding_window", 1, kMaxPositions)) {
    each_attention(spec, [&](SelfAttentionSpec& attention) { attention.window = *window; });
  }
  spec.head->bias = config.bool_or("lm_head_bias", false);
  MoeFfnSpec moe = hf::read_moe(
      config, spec,
      {.n_experts_key = "num_local_experts", .n_experts = 16, .top_k = 2, .ffn_dim_key = {}});
  if (moe.router.top_k != 2) {
    config.unsupported("num_experts_per_tok", "this router chooses two experts (got ",
                       moe.router.top_k, ")");
  }
  moe.router.score = device::RouterSpec::Score::kSparseMixer;
  moe.router.jitter = static_cast<float>(config.not_negative_or("router_jitter_noise", 0.01));
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  const std::vector<ModuleName> own = {
      {role::kRouter, "layers.#.block_sparse_moe.gate"},
      {role::kRouter, "layers.#.mlp.router"},
      {role::kExpertGate, "layers.#.block_sparse_moe.experts.@.w1"},
      {role::kExpertUp, "layers.#.block_sparse_moe.experts.@.w3"},
      {role::kExpertDown, "layers.#.block_sparse_moe.experts.@.w2"},
      {role::kExpertGateUp, "layers.#.mlp.experts.gate_up_proj"},
      {role::kExpertDown, "layers.#.mlp.experts.down_proj"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  const int window = gguf::read_window(config, 0);
  members.leave({"attention.sliding_window"})
      .set("sliding_window", window > 0 ? base::Json(window) : base::Json(nullptr))
      .set("lm_head_bias", members.has_tensor("output.bias"));
  ModelSpec spec = members.read(from_hf);
  spec.ropes[0].growth = {};
  return spec;
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family phimoe_family() {
  return {"phimoe", {"phimoe"}, {"phimoe"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
