// Ling (Bailing MoE): llama with one QKV and mixtures beside shared experts; its head may be
// normalised. Ling 2: norms on Q and K, RoPE on half of each head, scores by sigmoid, chosen group
// by group. Sources: the published modeling_bailing_moe.py and modeling_bailing_moe_v2.py.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// Biases, shared experts and their places are the same in both generations.
void place_experts(const Config& config, ModelSpec& spec, MoeFfnSpec moe, int n_dense) {
  const bool bias = std::get<DenseFfnSpec>(spec.layers[0].ffn).bias;
  moe.expert.bias = bias;
  const int n_shared = config.int_or("num_shared_experts", 0, 0, kMaxExperts);
  if (n_shared > 0) {
    moe.shared = moe.expert;
    const int width =
        config.int_or("moe_shared_expert_intermediate_size", moe.expert.ffn_dim, 1, kMaxFfnDim);
    moe.shared->ffn_dim = width * n_shared;
  }
  n_dense = config.int_or("first_k_dense_replace", n_dense, 0, kMaxLayers);
  for (int i = n_dense; i < spec.n_layers(); ++i)
    spec.layers[static_cast<std::size_t>(i)].ffn = moe;
}

void read_biases(const Config& config, ModelSpec& spec, bool otherwise) {
  const bool bias = config.bool_or("use_bias", otherwise);
  hf::set_attention_biases(spec, config.bool_or("use_qkv_bias", false), bias);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = bias; });
}

void read_head(const Config& config, ModelSpec& spec) {
  if (!config.bool_or("norm_head", false)) return;
  if (spec.head->tied) config.unsupported("norm_head", "a normalised head cannot be the embedding");
  spec.head->norm = MatrixNorm::kColumns;
}

ModelSpec from_v1(const Config& config) {
  for (const std::string_view key : {"multi_gate", "use_qk_norm"}) {
    if (config.bool_or(key, false)) config.unsupported(key, "not supported with bailing_moe");
  }
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 30592,
                                                .hidden_size = 1024,
                                                .n_layers = 24,
                                                .n_heads = 16,
                                                .max_positions = 16384,
                                                .norm_eps = 1e-5});
  hf::read_single_rope(config, spec);
  read_biases(config, spec, true);
  read_head(config, spec);
  MoeFfnSpec moe = hf::read_moe(config, spec, {.n_experts = 16, .top_k = 2});
  moe.router.normalise = moe.router.top_k > 1 && config.bool_or("norm_topk_prob", true);
  place_experts(config, spec, moe, 0);
  return spec;
}

ModelSpec from_v2(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 157184,
                                                .hidden_size = 2048,
                                                .n_layers = 20,
                                                .n_heads = 16,
                                                .n_kv_heads = 4,
                                                .ffn_dim = 5120,
                                                .max_positions = 32768});
  const std::string score = config.string_or("score_function", "sigmoid");
  if (score != "sigmoid") {
    config.unsupported("score_function", "unknown scores of experts (expected sigmoid, got ", score,
                       ")");
  }
  hf::read_single_rope(config, spec, {.theta = 600000.0, .partial = 0.5});
  read_biases(config, spec, false);
  read_head(config, spec);
  if (config.bool_or("use_qk_norm", true)) {
    each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  }
  MoeFfnSpec moe = hf::read_moe(config, spec, {.n_experts = 256, .ffn_dim = 512});
  hf::read_sigmoid_router(config, moe, 2.5, 8, 4, true);
  moe.router.normalise = moe.router.top_k > 1;  // whatever norm_topk_prob says
  moe.router_correction = config.bool_or("moe_router_enable_expert_bias", true);
  place_experts(config, spec, moe, 1);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  std::erase_if(layout.modules, [](const ModuleName& name) {
    return name.role == role::kEmbedding || name.role == role::kQ || name.role == role::kK ||
           name.role == role::kV || name.role == role::kAttentionOutput;
  });
  const std::vector<ModuleName> own = {
      {role::kEmbedding, "word_embeddings"},
      {role::kQkv, "layers.#.attention.query_key_value"},
      {role::kQNorm, "layers.#.attention.query_layernorm"},
      {role::kKNorm, "layers.#.attention.key_layernorm"},
      {role::kAttentionOutput, "layers.#.attention.dense"},
      {role::kRouterCorrection, "layers.#.mlp.gate.expert_bias"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  return layout;
}

/// The converter normalises the head.
ModelSpec from_gguf_v1(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.copy("expert_shared_count", "num_shared_experts");
  return members.read(from_v1, gguf::Members::Heads::kPaired);
}

ModelSpec from_gguf_v2(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.copy("expert_shared_count", "num_shared_experts");
  members.copy("expert_shared_feed_forward_length", "moe_shared_expert_intermediate_size");
  members.set("use_qk_norm", members.has_tensor("blk.0.attn_q_norm.weight"));
  for (const std::string_view name : {"n_group", "topk_group"}) members.set(name, 1);
  members.copy("expert_group_count", "n_group").copy("expert_group_used_count", "topk_group");
  return members.read(from_v2);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  layout.paired_heads = true;
  return layout;
}

ModuleLayout gguf_layout_v2() {
  ModuleLayout layout =
      gguf::layout_with({{role::kQkv, "blk.#.attn_qkv"}}, {role::kQ, role::kK, role::kV});
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family bailing_moe_family() {
  return {"bailing_moe", {"bailing_moe"}, {"bailingmoe"}, from_v1,
          from_gguf_v1,  hf_layout(),     gguf_layout()};
}

Family bailing_moe_v2_family() {
  return {"bailing_moe_v2", {"bailing_moe_v2"}, {"bailingmoe2"}, from_v2,
          from_gguf_v2,     hf_layout(),        gguf_layout_v2()};
}

}  // namespace openllm::model
