// Flint: Qwen 3 MoE with sinks, RoPE on windowed layers alone, scores through a sigmoid, and a
// shared expert. Source: transformers models/flint.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 150144,
                                                .hidden_size = 2048,
                                                .n_layers = 49,
                                                .n_heads = 32,
                                                .n_kv_heads = 4,
                                                .head_dim = 128,
                                                .ffn_dim = 6144,
                                                .max_positions = 262144});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i)
    windowed.push_back(i >= 2 && i % 4 != 1 && i != spec.n_layers() - 1);
  hf::read_layer_types(config, spec, hf::read_window(config, 513), windowed);
  each_attention(spec, [](SelfAttentionSpec& attention) {
    attention.qk_norm = QkNorm::kHead;
    attention.sinks = true;
    if (attention.window == 0) attention.rope = -1;
  });
  MoeFfnSpec moe = hf::read_moe(config, spec, {.n_experts = 256, .top_k = 6, .ffn_dim = 512});
  moe.router.score = device::RouterSpec::Score::kSigmoid;
  moe.router.normalise = config.bool_or("norm_topk_prob", true);
  moe.shared = moe.expert;
  moe.shared->ffn_dim = config.int_or("shared_expert_intermediate_size", 1024, 1, kMaxFfnDim);
  const std::vector<FfnSpec> dense = {spec.layers[0].ffn};
  hf::place_moe(config, spec, moe);
  if (!config.has("mlp_only_layers")) {
    for (int i = 0; i < 2 && i < spec.n_layers(); ++i)
      spec.layers[static_cast<std::size_t>(i)].ffn = dense[0];
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  const std::vector<ModuleName> own = {
      {role::kSinks, "layers.#.self_attn.sinks"},
      {role::kSinks, "layers.#.self_attn.softmax_offset"},
      {role::kSharedGate, "layers.#.mlp.shared_expert.gate_proj"},
      {role::kSharedUp, "layers.#.mlp.shared_expert.up_proj"},
      {role::kSharedDown, "layers.#.mlp.shared_expert.down_proj"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  return layout;
}

}  // namespace

Family flint_family() { return {"flint", {"flint"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
