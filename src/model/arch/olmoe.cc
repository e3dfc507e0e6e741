// OLMoE: llama with norms on whole rows of Q and K and a mixture on every layer. Source:
// transformers models/olmoe.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50304,
                                                .hidden_size = 2048,
                                                .n_layers = 16,
                                                .n_heads = 16,
                                                .ffn_dim = 2048,
                                                .max_positions = 4096,
                                                .norm_eps = 1e-5});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  const auto clip = static_cast<float>(config.find_positive("clip_qkv").value_or(0.0));
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.qk_norm = QkNorm::kWholeRow;
    attention.clip_qkv = clip;
    attention.clip_after_norm = true;
  });
  MoeFfnSpec moe = hf::read_moe(
      config, spec,
      {.n_experts_key = config.first_of({"num_experts", "num_local_experts"}), .ffn_dim_key = {}});
  moe.router.normalise = config.bool_or("norm_topk_prob", false);
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.set("norm_topk_prob", false);
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout_with({}, {role::kGate, role::kUp, role::kDown});
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family olmoe_family() {
  return {"olmoe", {"olmoe"}, {"olmoe"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
