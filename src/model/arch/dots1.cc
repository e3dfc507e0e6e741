// dots.llm1: Qwen 3 with DeepSeek-V3's mixtures behind some dense layers. Source: transformers
// models/dots1.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 152064,
                                                .hidden_size = 4608,
                                                .n_layers = 62,
                                                .n_kv_heads = 32,
                                                .ffn_dim = 10944});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  const std::optional<int> window = hf::read_window(config);
  const int n_full = config.int_or("max_window_layers", 62, 0, kMaxPositions);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back(window.has_value() && i >= n_full);
  hf::read_layer_types(config, spec, window, windowed);
  MoeFfnSpec moe = hf::read_moe(
      config, spec,
      {.n_experts_key = "n_routed_experts", .n_experts = 1, .top_k = 1, .ffn_dim = 1408});
  hf::read_sigmoid_router(config, moe, 1.0, 1, 1, false);
  hf::place_deepseek_moe(config, spec, moe, 1, 0);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.set("sliding_window", nullptr);
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family dots1_family() {
  return {"dots1", {"dots1"}, {"dots1"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
