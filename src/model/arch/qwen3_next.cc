// Qwen 3 Next: the gated delta rule on three of four layers, gated attention with RoPE on a quarter
// of each head on the others; a mixture with a gated shared expert. Source: transformers
// models/qwen3_next.

#include <utility>

#include "model/arch/qwen3_next.h"

#include "model/arch/family.h"
#include "model/arch/gguf_hybrid.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

GatedDeltaSpec read_delta(const Config& config, const ModelSpec& spec) {
  GatedDeltaSpec delta;
  delta.n_key_heads = config.int_or("linear_num_key_heads", 16, 1, kMaxHeads);
  delta.n_heads = config.int_or("linear_num_value_heads", 32, 1, kMaxHeads);
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

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_qwen3_next(config, {.vocab_size = 151936,
                                            .hidden_size = 2048,
                                            .n_layers = 48,
                                            .n_heads = 16,
                                            .n_kv_heads = 2,
                                            .head_dim = 256,
                                            .ffn_dim = 5632,
                                            .max_positions = 32768});
  read_qwen3_next_moe(config, spec, 512, 10);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = qwen3_next_layout();
  hf::add(layout, {{role::kDeltaQkvGate, "layers.#.linear_attn.in_proj_qkvz"},
                   {role::kDeltaBetaStep, "layers.#.linear_attn.in_proj_ba"}});
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  return read_qwen3_next_gguf(config, checkpoint, from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = qwen3_next_gguf_layout();
  hf::add(layout, {{role::kDeltaQkv, "blk.#.attn_qkv"},
                   {role::kDeltaQkvGate, "blk.#.ssm_in"},  // in older files
                   {role::kDeltaBetaStep, "blk.#.ssm_ba"}});
  return layout;
}

}  // namespace

ModelSpec read_qwen3_next_gguf(const Config& config, const format::Checkpoint& checkpoint,
                               ModelSpec (*from_hf)(const Config&)) {
  gguf::Members members(config, checkpoint);
  const int n_heads = config.require_int("ssm.time_step_rank", 1, kMaxHeads);
  const int width = config.require_int("ssm.inner_size", 1, kMaxFfnDim);
  if (width % n_heads != 0) {
    config.corrupt("ssm.time_step_rank", "does not divide ssm.inner_size (expected a divisor of ",
                   width, ", got ", n_heads, ")");
  }
  const std::vector<bool> is_mixture = members.layers_with_tensor("ffn_gate_inp.weight");
  base::JsonArray dense;
  for (std::size_t i = 0; i < is_mixture.size(); ++i) {
    if (!is_mixture[i]) dense.emplace_back(static_cast<std::int64_t>(i));
  }
  gguf::set_kinds(members, "layer_types", gguf::read_attending(config, members.n_layers(), 4),
                  "full_attention", "linear_attention");
  members.copy("ssm.conv_kernel", "linear_conv_kernel_dim")
      .copy("ssm.state_size", "linear_key_head_dim")
      .copy("ssm.group_count", "linear_num_key_heads")
      .set("linear_num_value_heads", n_heads)
      .set("linear_value_head_dim", width / n_heads)
      .set("mlp_only_layers", std::move(dense));
  ModelSpec spec = members.read(from_hf);
  spec.norm.added = std::exchange(spec.norm.weight_offset, 0.0F);  // The converter adds it.
  return spec;
}

ModuleLayout qwen3_next_gguf_layout() {
  ModuleLayout layout = gguf::layout_with({{role::kFfnNorm, "blk.#.post_attention_norm"}},
                                          {role::kMixerPostNorm, role::kFfnPostNorm});
  gguf::add_experts(layout);
  hf::add(layout, {{role::kDeltaGate, "blk.#.attn_gate"},
                   {role::kDeltaTaps, "blk.#.ssm_conv1d"},
                   {role::kDeltaStepBias, "blk.#.ssm_dt.bias"},
                   {role::kDeltaRates, "blk.#.ssm_a"},
                   {role::kDeltaNorm, "blk.#.ssm_norm"},
                   {role::kDeltaOutput, "blk.#.ssm_out"}});
  return layout;
}

ModelSpec read_qwen3_next(const Config& config, const hf::Defaults& defaults) {
  ModelSpec spec = hf::read_llama_like(config, defaults);
  spec.norm.weight_offset = 1.0F;
  hf::read_attention_bias(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) {
    attention.qk_norm = QkNorm::kHead;
    attention.output_gate = true;
    attention.gate_beside_queries = true;
  });
  hf::read_single_rope(config, spec, {.partial = 0.25});
  const int interval = config.int_or("full_attention_interval", 4, 1, kMaxLayers);
  std::vector<bool> attends;
  for (int i = 0; i < spec.n_layers(); ++i) attends.push_back((i + 1) % interval == 0);
  hf::read_kinds(config, "layer_types", {"full_attention"}, {"linear_attention"}, attends);
  const GatedDeltaSpec delta = read_delta(config, spec);
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (!attends[i]) spec.layers[i].mixer = delta;
  }
  return spec;
}

void read_qwen3_next_moe(const Config& config, ModelSpec& spec, int n_experts, int top_k) {
  MoeFfnSpec moe =
      hf::read_moe(config, spec, {.n_experts = n_experts, .top_k = top_k, .ffn_dim = 512});
  moe.router.normalise = config.bool_or("norm_topk_prob", true);
  moe.shared = moe.expert;
  moe.shared->ffn_dim = config.int_or("shared_expert_intermediate_size", 512, 1, kMaxFfnDim);
  moe.shared_score = true;
  hf::place_moe(config, spec, moe);
}

ModuleLayout qwen3_next_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  hf::add(layout, {{role::kSharedGate, "layers.#.mlp.shared_expert.gate_proj"},
                   {role::kSharedUp, "layers.#.mlp.shared_expert.up_proj"},
                   {role::kSharedDown, "layers.#.mlp.shared_expert.down_proj"},
                   {role::kSharedScore, "layers.#.mlp.shared_expert_gate"},
                   {role::kDeltaTaps, "layers.#.linear_attn.conv1d"},
                   {role::kDeltaStepBias, "layers.#.linear_attn.dt_bias"},
                   {role::kDeltaRates, "layers.#.linear_attn.A_log"},
                   {role::kDeltaNorm, "layers.#.linear_attn.norm"},
                   {role::kDeltaOutput, "layers.#.linear_attn.out_proj"}});
  layout.ignored.push_back("mtp.*");  // predicts tokens further ahead
  return layout;
}

Family qwen3_next_family() {
  return {"qwen3_next", {"qwen3_next"}, {"qwen3next"}, from_hf,
          from_gguf,    hf_layout(),    gguf_layout()};
}

}  // namespace openllm::model
