// Lara Mini: the gated delta rule of Qwen 3.5 on some layers, attention of Qwen 3 on the others,
// with RoPE where it has a window alone, and on every layer a mixture with a shared expert. Source:
// transformers models/lara_mini and its conversion_mapping.py.

#include "model/arch/hybrid.h"
#include "model/arch/qwen3_next.h"
#include "model/blocks/gated_delta_rounds.h"

namespace openllm::model {
namespace {

GatedDeltaSpec read_delta(const Config& config, const ModelSpec& spec) {
  GatedDeltaSpec delta;
  delta.n_key_heads = config.int_or("linear_num_key_heads", 8, 1, kMaxHeads);
  delta.n_heads = config.int_or("linear_num_value_heads", 16, 1, kMaxHeads);
  delta.key_dim = config.int_or("linear_key_head_dim", 128, 1, kMaxHeadDim);
  delta.value_dim = config.int_or("linear_value_head_dim", 128, 1, kMaxHeadDim);
  delta.n_taps = config.int_or("linear_conv_kernel_dim", 4, 1, hf::kMaxConvTaps);
  delta.activation = hf::read_activation(config, "hidden_act", "silu");
  delta.norm_eps = spec.norm.eps;
  if (delta.n_heads % delta.n_key_heads != 0) {
    config.corrupt("linear_num_key_heads",
                   "does not divide linear_num_value_heads (expected a divisor of ", delta.n_heads,
                   ", got ", delta.n_key_heads, ")");
  }
  return delta;
}

void read_mixers(const Config& config, ModelSpec& spec) {
  hf::read_attention_bias(config, spec);
  hf::read_single_rope(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  std::vector<bool> is_delta;
  std::vector<bool> has_window;
  for (int i = 0; i < spec.n_layers(); ++i) {
    is_delta.push_back(i % 5 == 0 || i % 5 == 2);
    has_window.push_back(i % 5 == 1 || i % 5 == 4);
  }
  hf::read_kinds(config, "layer_types", {"linear_attention"},
                 {"sliding_attention", "full_attention"}, is_delta);
  hf::read_kinds(config, "layer_types", {"sliding_attention"},
                 {"linear_attention", "full_attention"}, has_window);
  const int window = config.int_or("sliding_window", 512, 1, kMaxPositions);
  const GatedDeltaSpec delta = read_delta(config, spec);
  for (int i = 0; i < spec.n_layers(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (is_delta[at]) {
      spec.layers[at].mixer = delta;
    } else if (has_window[at]) {
      attention_of(spec, i).window = window;
    } else {
      attention_of(spec, i).rope = -1;
    }
  }
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 151936,
                                                .hidden_size = 1024,
                                                .n_layers = 34,
                                                .n_heads = 16,
                                                .n_kv_heads = 4,
                                                .head_dim = 128,
                                                .max_positions = 131072,
                                                .tied = true});
  MoeFfnSpec moe = hf::read_moe(config, spec, {.n_experts = 128, .top_k = 4, .ffn_dim = 512});
  moe.router.normalise = config.bool_or("norm_topk_prob", true);
  moe.shared = moe.expert;
  moe.shared->ffn_dim = config.int_or("shared_expert_intermediate_size", 512, 1, kMaxFfnDim);
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  read_mixers(config, spec);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = qwen3_next_layout();
  hf::remove(layout, role::kSharedScore);
  hf::add(layout, {{role::kDeltaAll, "layers.#.linear_attn.in_proj"},
                   {role::kDeltaQkv, "layers.#.linear_attn.in_proj_qkv"},
                   {role::kDeltaGate, "layers.#.linear_attn.in_proj_z"},
                   {role::kDeltaBeta, "layers.#.linear_attn.in_proj_b"},
                   {role::kDeltaStep, "layers.#.linear_attn.in_proj_a"},
                   {role::kDeltaNorm, "layers.#.linear_attn.out_norm"}});
  return layout;
}

}  // namespace

Family lara_mini_family() {
  return {"lara_mini", {"lara_mini"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
