// Texts of Qwen2-VL, Qwen2.5-VL and Qwen3-VL (dense and MoE): Qwen 2 and 3 with a RoPE of three
// axes, which are equal without images. Sources: transformers models/qwen2_vl, models/qwen2_5_vl,
// models/qwen3_vl, models/qwen3_vl_moe.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_qwen2(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 152064,
                                                .hidden_size = 8192,
                                                .n_layers = 80,
                                                .n_heads = 64,
                                                .n_kv_heads = 8,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 29568,
                                                .max_positions = 32768,
                                                .norm_eps = 1e-5});
  hf::read_single_rope(config, spec, {.theta = 1000000.0});
  std::optional<int> window;
  if (config.bool_or("use_sliding_window", false)) window = hf::read_window(config);
  const int first = config.int_or("max_window_layers", 80, 0, kMaxPositions);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back(window.has_value() && i >= first);
  hf::read_layer_types(config, spec, window, windowed);
  hf::set_attention_biases(spec, true, false);
  return spec;
}

void use_qwen3_attention(const Config& config, ModelSpec& spec) {
  hf::read_single_rope(config, spec, {.theta = 500000.0});
  hf::read_attention_bias(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
}

ModelSpec from_qwen3(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 151936,
                                                .n_kv_heads = 32,
                                                .head_dim = 128,
                                                .ffn_dim = 22016,
                                                .max_positions = 128000});
  use_qwen3_attention(config, spec);
  return spec;
}

ModelSpec from_qwen3_moe(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 151936,
                                                .hidden_size = 2048,
                                                .n_layers = 24,
                                                .n_heads = 16,
                                                .n_kv_heads = 16,
                                                .ffn_dim = 5632,
                                                .max_positions = 128000});
  use_qwen3_attention(config, spec);
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_experts", "num_local_experts"}),
                    .n_experts = 60,
                    .top_k = 4,
                    .ffn_dim = 1408});
  moe.router.normalise = true;  // whatever norm_topk_prob is
  hf::place_moe(config, spec, moe);
  return spec;
}

ModuleLayout qwen3_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  return layout;
}

/// Stacked experts are turned here.
ModuleLayout qwen3_moe_layout() {
  ModuleLayout layout = qwen3_layout();
  hf::add_experts(layout);
  return layout;
}

}  // namespace

Family qwen2_vl_family() {
  return {
      "qwen2_vl", {"qwen2_vl_text", "qwen2_5_vl_text"}, {}, from_qwen2, nullptr, hf::llama_layout(),
      {}};
}
Family qwen3_vl_family() {
  return {"qwen3_vl", {"qwen3_vl_text"}, {}, from_qwen3, nullptr, qwen3_layout(), {}};
}
Family qwen3_vl_moe_family() {
  return {"qwen3_vl_moe", {"qwen3_vl_moe_text"}, {}, from_qwen3_moe,
          nullptr,        qwen3_moe_layout(),    {}};
}

}  // namespace openllm::model
