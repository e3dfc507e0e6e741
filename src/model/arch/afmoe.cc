// AFMoE (Arcee's Trinity): sandwich norms, norms on the heads of Q and K, a gate on what attention
// gives, windows on three of four layers, which alone have RoPE, and mixtures of experts whose
// scores go through a sigmoid. Source: transformers models/afmoe.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

void read_attention(const Config& config, ModelSpec& spec) {
  const int period = config.int_or("global_attn_every_n_layers", 4, 1, kMaxLayers);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back((i + 1) % period != 0);
  hf::read_layer_types(config, spec, hf::read_window(config, 1024), windowed);
  each_attention(spec, [](SelfAttentionSpec& attention) {
    attention.qk_norm = QkNorm::kHead;
    attention.output_gate = true;
    if (attention.window == 0) attention.rope = -1;
  });
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 200192,
                                                .hidden_size = 2048,
                                                .n_heads = 16,
                                                .head_dim = 128,
                                                .ffn_dim = 6144,
                                                .max_positions = 16384,
                                                .norm_eps = 1e-5});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  read_attention(config, spec);
  if (config.bool_or("mup_enabled", false))
    spec.embedding.scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  MoeFfnSpec moe = hf::read_moe(config, spec, {.top_k = 6, .ffn_dim = 1408});
  moe.router.score = device::RouterSpec::Score::kSigmoid;
  moe.router.scale = static_cast<float>(config.positive_or("route_scale", 1.0));
  moe.router_correction = true;
  hf::place_moe_by_type(config, spec, moe, config.int_or("num_shared_experts", 2, 0, kMaxExperts),
                        config.int_or("num_dense_layers", 1, 0, kMaxLayers));
  for (LayerSpec& layer : spec.layers) layer.residual.norm_after = true;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  // The name llama gives the norm before the FFN is the norm after attention here.
  std::erase_if(layout.modules, [](const ModuleName& name) { return name.role == role::kFfnNorm; });
  hf::add_qk_norms(layout);
  const std::vector<ModuleName> own = {
      {role::kAttentionGate, "layers.#.self_attn.gate_proj"},
      {role::kMixerPostNorm, "layers.#.post_attention_layernorm"},
      {role::kFfnNorm, "layers.#.pre_mlp_layernorm"},
      {role::kFfnPostNorm, "layers.#.post_mlp_layernorm"},
      {role::kRouter, "layers.#.mlp.router.gate"},
      {role::kRouterCorrection, "layers.#.mlp.expert_bias"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  // Nothing says whether embeddings are scaled: those of all models that were published are.
  members.copy("attention.sliding_window", "sliding_window")
      .copy("expert_shared_count", "num_shared_experts")
      .copy("expert_weights_scale", "route_scale")
      .copy("leading_dense_block_count", "num_dense_layers")
      .set("mup_enabled", true);
  base::JsonArray kinds;
  for (const bool windowed : gguf::read_windowed_layers(config, members.n_layers(), 4))
    kinds.emplace_back(windowed ? "sliding_attention" : "full_attention");
  members.set("layer_types", std::move(kinds));
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout_with({{role::kAttentionGate, "blk.#.attn_gate"}});
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family afmoe_family() {
  return {"afmoe", {"afmoe"}, {"afmoe"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
