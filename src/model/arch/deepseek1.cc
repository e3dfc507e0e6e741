// DeepSeek-MoE, the first generation: llama with dense first layers and a mixture with shared
// experts on the others. Source: the published modeling_deepseek.py of DeepSeek-MoE 16B.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec =
      hf::read_llama_like(config, {.vocab_size = 102400, .n_layers = 30, .ignores_head_dim = true});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  if (!config.has("n_routed_experts")) return spec;
  MoeFfnSpec moe = hf::read_moe(config, spec,
                                {.n_experts_key = "n_routed_experts", .top_k = 2, .ffn_dim = 1407});
  const std::string score = config.string_or("scoring_func", "softmax");
  if (score != "softmax") {
    config.unsupported("scoring_func", "unknown scores of experts (expected softmax, got ", score,
                       ")");
  }
  moe.router.normalise = config.bool_or("norm_topk_prob", false);
  const int n_shared = config.int_or("n_shared_experts", 0, 0, kMaxExperts);
  if (n_shared > 0) {
    moe.shared = moe.expert;
    moe.shared->ffn_dim = moe.expert.ffn_dim * n_shared;
  }
  const int first = config.int_or("first_k_dense_replace", 0, 0, kMaxLayers);
  const int step = config.int_or("moe_layer_freq", 1, 1, kMaxLayers);
  for (int i = first; i < spec.n_layers(); ++i) {
    if (i % step == 0) spec.layers[static_cast<std::size_t>(i)].ffn = moe;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  if (const double scale = config.positive_or("expert_weights_scale", 1.0); scale != 1.0)
    config.unsupported("expert_weights_scale", "not of this architecture (expected 1, got ", scale,
                       ")");
  return gguf::Members(config, checkpoint).read(from_hf, gguf::Members::Heads::kPaired);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family deepseek1_family() {
  return {"deepseek", {"deepseek"}, {"deepseek"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
