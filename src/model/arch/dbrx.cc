// DBRX: LayerNorm without biases, one QKV that is clipped, and a mixture on every layer whose
// experts lie in one matrix. Source: transformers 4 models/dbrx.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

struct Sizes {
  int n_kv_heads = 1;
  double theta = 10000.0;
  double clip = 0.0;
  int ffn_dim = 3584;
  int n_experts = 4;
  int top_k = 1;
  bool normalise = true;
};

Sizes read_sizes(const Config& config) {
  Sizes sizes;
  if (const std::optional<Config> attention = config.object("attn_config")) {
    sizes.n_kv_heads = attention->int_or("kv_n_heads", 1, 1, kMaxHeads);
    sizes.theta = attention->positive_or("rope_theta", 10000.0);
    sizes.clip = attention->find_positive("clip_qkv").value_or(0.0);
  }
  const std::optional<Config> ffn = config.object("ffn_config");
  if (!ffn) return sizes;
  sizes.ffn_dim = ffn->int_or("ffn_hidden_size", 3584, 1, kMaxFfnDim);
  sizes.n_experts = ffn->int_or("moe_num_experts", 4, 1, kMaxExperts);
  sizes.top_k = ffn->int_or("moe_top_k", 1, 1, sizes.n_experts);
  if (const std::optional<Config> activation = ffn->object("ffn_act_fn")) {
    const std::string name = activation->string_or("name", "silu");
    if (name != "silu")
      activation->unsupported("name", "unknown activation (expected silu, got ", name, ")");
  }
  // The weights of the chosen experts are divided by their norm of that order.
  const bool mentions = ffn->mentions("moe_normalize_expert_weights");
  const double order = ffn->not_negative_or("moe_normalize_expert_weights", mentions ? 0.0 : 1.0);
  if (order != 0.0 && order != 1.0) {
    ffn->unsupported("moe_normalize_expert_weights", "unknown norm (expected null or 1, got ",
                     order, ")");
  }
  sizes.normalise = order == 1.0;
  return sizes;
}

ModelSpec read_network(const Config& config, const Sizes& sizes) {
  ModelSpec spec = hf::read_llama_like(config, {.hidden_size = 2048,
                                                .n_layers = 24,
                                                .n_heads = 16,
                                                .n_kv_heads = sizes.n_kv_heads,
                                                .ignores_head_dim = true,
                                                .ffn_dim = sizes.ffn_dim,
                                                .max_positions = 2048,
                                                .names = {.hidden_size = "d_model",
                                                          .n_layers = "n_layers",
                                                          .n_heads = "n_heads",
                                                          .max_positions = "max_seq_len"}});
  spec.norm.kind = device::NormKind::kLayer;
  spec.norm.eps = 1e-5F;
  spec.norm.has_bias = false;
  const auto clip = static_cast<float>(sizes.clip);
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.clip_qkv = clip; });
  RopeParameters rope;
  rope.theta = sizes.theta;
  hf::use_rope(config, spec, rope);
  MoeFfnSpec moe;
  moe.expert = std::get<DenseFfnSpec>(spec.layers[0].ffn);
  moe.router.n_experts = sizes.n_experts;
  moe.router.top_k = sizes.top_k;
  moe.router.normalise = sizes.normalise;
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  return spec;
}

ModelSpec from_hf(const Config& config) { return read_network(config, read_sizes(config)); }

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "wte"},
      {role::kFinalNorm, "norm_f"},
      {role::kHead, "lm_head", true},
      {role::kMixerNorm, "blocks.#.norm_attn_norm.norm_1"},
      {role::kQkv, "blocks.#.norm_attn_norm.attn.Wqkv"},
      {role::kAttentionOutput, "blocks.#.norm_attn_norm.attn.out_proj"},
      {role::kFfnNorm, "blocks.#.norm_attn_norm.norm_2"},
      {role::kRouter, "blocks.#.ffn.router.layer"},
      {role::kExpertGate, "blocks.#.ffn.experts.mlp.w1"},
      {role::kExpertUp, "blocks.#.ffn.experts.mlp.v1"},
      {role::kExpertDown, "blocks.#.ffn.experts.mlp.w2"},
  };
  layout.prefixes = {"transformer.", ""};
  layout.flat_experts = true;
  layout.transposed_flat = role::kExpertDown;
  return layout;
}

ModelSpec from_members(const Config& config) {
  Sizes sizes;
  sizes.n_kv_heads = config.require_int("num_key_value_heads", 1, kMaxHeads);
  sizes.clip = config.find_positive("clip_qkv").value_or(0.0);
  sizes.ffn_dim = config.require_int("intermediate_size", 1, kMaxFfnDim);
  sizes.n_experts = config.require_int("num_experts", 1, kMaxExperts);
  sizes.top_k = config.require_int("num_experts_per_tok", 1, sizes.n_experts);
  return read_network(config, sizes);
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  return gguf::Members(config, checkpoint).read(from_members);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout_with(
      {{role::kQkv, "blk.#.attn_qkv"}, {role::kFfnNorm, "blk.#.attn_output_norm"}},
      {role::kQ, role::kK, role::kV});
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family dbrx_family() {
  return {"dbrx", {"dbrx"}, {"dbrx"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
