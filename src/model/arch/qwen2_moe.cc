// Qwen 1.5 and 2, MoE: Qwen 2 with a mixture and a gated shared expert on every layer but those
// that the configuration leaves dense. Source: transformers models/qwen2_moe.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 151936,
                                                .hidden_size = 2048,
                                                .n_layers = 24,
                                                .n_heads = 16,
                                                .n_kv_heads = 16,
                                                .ffn_dim = 5632,
                                                .max_positions = 32768});
  hf::read_single_rope(config, spec);
  hf::set_attention_biases(spec, config.bool_or("qkv_bias", true), false);
  std::optional<int> window;
  if (config.bool_or("use_sliding_window", false)) window = hf::read_window(config);
  const int n_windowed = config.int_or("max_window_layers", 28, 0, kMaxPositions);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i)
    windowed.push_back(window.has_value() && i % 2 == 0 && i < n_windowed);
  hf::read_layer_types(config, spec, window, windowed);

  MoeFfnSpec moe = hf::read_moe(config, spec, {.n_experts = 60, .top_k = 4, .ffn_dim = 1408});
  moe.router.normalise = config.bool_or("norm_topk_prob", false);
  moe.shared = moe.expert;
  moe.shared->ffn_dim = config.int_or("shared_expert_intermediate_size", 5632, 1, kMaxFfnDim);
  moe.shared_score = true;
  hf::place_moe(config, spec, moe);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_experts(layout);
  layout.modules.push_back({role::kSharedGate, "layers.#.mlp.shared_expert.gate_proj"});
  layout.modules.push_back({role::kSharedUp, "layers.#.mlp.shared_expert.up_proj"});
  layout.modules.push_back({role::kSharedDown, "layers.#.mlp.shared_expert.down_proj"});
  layout.modules.push_back({role::kSharedScore, "layers.#.mlp.shared_expert_gate"});
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.set("norm_topk_prob", false);
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family qwen2_moe_family() {
  return {"qwen2_moe", {"qwen2_moe"}, {"qwen2moe"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
