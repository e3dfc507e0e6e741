// GLM-4.5: llama with RoPE on the first half of each head, perhaps norms on the heads of Q and K,
// and DeepSeek-V3's mixtures. What predicts further tokens is left out. Source: transformers
// models/glm4_moe.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// Biases of Q, K and V, and norms on Q and K.
void read_heads(const Config& config, std::string_view bias_key, bool norms, ModelSpec& spec) {
  hf::set_attention_biases(spec, config.bool_or(bias_key, false), false);
  if (config.bool_or("use_qk_norm", norms)) {
    each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  }
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 151552,
                                                .n_layers = 46,
                                                .n_heads = 96,
                                                .n_kv_heads = 8,
                                                .ffn_dim = 10944,
                                                .max_positions = 131072,
                                                .norm_eps = 1e-5});
  hf::read_single_rope(config, spec, {.partial = 0.5});
  read_heads(config, "attention_bias", false, spec);
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_local_experts", "n_routed_experts"}),
                    .n_experts = 128,
                    .ffn_dim = 1408});
  hf::read_sigmoid_router(config, moe, 1.0, 1, 1, true);
  hf::place_deepseek_moe(config, spec, moe, 1, 1);
  return spec;
}

/// Sarvam's 30B: all of each head turns, and members have names of its own too.
ModelSpec from_sarvam(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 262144,
                                                .n_layers = 19,
                                                .n_heads = 64,
                                                .n_kv_heads = 4,
                                                .head_dim = 64,
                                                .ffn_dim = 8192,
                                                .max_positions = 131072});
  hf::read_single_rope(config, spec, {.theta = 8000000.0, .partial = 1.0});
  read_heads(config, config.first_of({"use_qkv_bias", "attention_bias"}), true, spec);
  MoeFfnSpec moe = hf::read_moe(
      config, spec,
      {.n_experts_key = config.first_of({"num_local_experts", "num_experts", "n_routed_experts"}),
       .n_experts = 128,
       .top_k = 6,
       .ffn_dim = 1024});
  hf::read_sigmoid_router(config, moe, 2.5, 1, 1, true);
  hf::place_moe_by_type(
      config, spec, moe,
      config.int_or(config.first_of({"num_shared_experts", "n_shared_experts"}), 1, 0, kMaxExperts),
      config.int_or("first_k_dense_replace", 1, 0, kMaxLayers));
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  layout.ignored.insert(layout.ignored.end(), {"layers.46.*", "layers.92.*"});  // 106B and 355B
  return layout;
}

ModuleLayout sarvam_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  // As first published.
  const std::vector<ModuleName> published = {
      {role::kEmbedding, "word_embeddings"},
      {role::kQkv, "layers.#.attention.query_key_value"},
      {role::kAttentionOutput, "layers.#.attention.dense"},
      {role::kQNorm, "layers.#.attention.query_layernorm"},
      {role::kKNorm, "layers.#.attention.key_layernorm"},
      {role::kRouterCorrection, "layers.#.mlp.gate.expert_bias"},
  };
  layout.modules.insert(layout.modules.end(), published.begin(), published.end());
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.set("use_qk_norm", members.has_tensor("blk.0.attn_q_norm.weight"));
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout =
      gguf::layout_with({{role::kFfnNorm, "blk.#.post_attention_norm"}}, {role::kMixerPostNorm});
  gguf::add_experts(layout);
  layout.ignored.insert(layout.ignored.end(), {"blk.46.*", "blk.92.*"});
  return layout;
}

}  // namespace

Family glm4_moe_family() {
  return {"glm4_moe", {"glm4_moe"}, {"glm4moe"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

Family sarvam_moe_family() {
  return {"sarvam_moe", {"sarvam_moe"}, {}, from_sarvam, nullptr, sarvam_layout(), {}};
}

}  // namespace openllm::model
