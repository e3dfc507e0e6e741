// Qwen 3, MoE: Qwen 3 with a mixture on every layer but those that the configuration leaves dense.
// Source: transformers models/qwen3_moe.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 151936,
                                                .hidden_size = 2048,
                                                .n_layers = 24,
                                                .n_kv_heads = 4,
                                                .ffn_dim = 6144,
                                                .max_positions = 32768});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  std::optional<int> window;
  if (config.bool_or("use_sliding_window", false)) window = hf::read_window(config);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.qk_norm = QkNorm::kHead;
    attention.window = window.value_or(0);
  });
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_experts", "num_local_experts"}),
                    .n_experts = 128,
                    .ffn_dim = 768});
  moe.router.normalise = config.bool_or("norm_topk_prob", false);
  hf::place_moe(config, spec, moe);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.set("norm_topk_prob", true);
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family qwen3_moe_family() {
  return {"qwen3_moe", {"qwen3_moe"}, {"qwen3moe"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
