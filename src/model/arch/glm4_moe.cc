// GLM-4.5: llama with RoPE on the first half of each head, perhaps norms on the heads of Q and K,
// and DeepSeek-V3's mixtures. What predicts further tokens is left out. Source: transformers
// models/glm4_moe.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 151552,
                                                .n_layers = 46,
                                                .n_heads = 96,
                                                .n_kv_heads = 8,
                                                .ffn_dim = 10944,
                                                .max_positions = 131072,
                                                .norm_eps = 1e-5});
  hf::read_single_rope(config, spec, {.partial = 0.5});
  hf::set_attention_biases(spec, config.bool_or("attention_bias", false), false);
  if (config.bool_or("use_qk_norm", false)) {
    each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  }
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_local_experts", "n_routed_experts"}),
                    .n_experts = 128,
                    .ffn_dim = 1408});
  hf::read_sigmoid_router(config, moe, 1.0, 1, 1, true);
  hf::place_deepseek_moe(config, spec, moe, 1, 1);
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

}  // namespace openllm::model
