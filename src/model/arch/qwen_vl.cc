// Texts of Qwen2-VL, Qwen2.5-VL and -Omni, Qwen3-VL (dense and MoE) and Qwen3-Omni: Qwen 2 and 3
// with a RoPE of three axes, which are equal without images. Sources: transformers models/qwen2_vl,
// models/qwen2_5_vl, models/qwen2_5_omni, models/qwen3_vl, models/qwen3_vl_moe,
// models/qwen3_omni_moe, llama.cpp's "qwen2vl", "qwen3vl" and "qwen3vlmoe" architectures.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec read_qwen2(const Config& config, const hf::Defaults& defaults, int max_window_layers) {
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::read_single_rope(config, spec, {.theta = 1000000.0});
  std::optional<int> window;
  if (config.bool_or("use_sliding_window", false)) window = hf::read_window(config);
  const int first = config.int_or("max_window_layers", max_window_layers, 0, kMaxPositions);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back(window.has_value() && i >= first);
  hf::read_layer_types(config, spec, window, windowed);
  hf::set_attention_biases(spec, true, false);
  return spec;
}

ModelSpec from_qwen2(const Config& config) {
  return read_qwen2(config,
                    {.vocab_size = 152064,
                     .hidden_size = 8192,
                     .n_layers = 80,
                     .n_heads = 64,
                     .n_kv_heads = 8,
                     .ignores_head_dim = true,
                     .ffn_dim = 29568,
                     .max_positions = 32768,
                     .norm_eps = 1e-5},
                    80);
}

ModelSpec from_qwen2_omni(const Config& config) {
  return read_qwen2(config,
                    {.vocab_size = 152064,
                     .hidden_size = 3584,
                     .n_layers = 28,
                     .n_heads = 28,
                     .n_kv_heads = 4,
                     .ignores_head_dim = true,
                     .ffn_dim = 18944,
                     .max_positions = 32768},
                    28);
}

void use_qwen3_attention(const Config& config, ModelSpec& spec, double theta = 500000.0) {
  hf::read_single_rope(config, spec, {.theta = theta});
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

ModelSpec from_qwen3_omni(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 3584,
                                                .hidden_size = 2048,
                                                .n_layers = 28,
                                                .n_heads = 28,
                                                .n_kv_heads = 4,
                                                .ffn_dim = 18944,
                                                .max_positions = 32768});
  use_qwen3_attention(config, spec, 1000000.0);
  // Its rows see all before them, whatever sliding_window is.
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_experts", "num_local_experts"}),
                    .n_experts = 128,
                    .top_k = 8,
                    .ffn_dim = 768});
  moe.router.normalise = config.bool_or("norm_topk_prob", true);
  hf::place_moe(config, spec, moe);
  return spec;
}

/// Of the sections of rope and the layers that images reach later a text needs nothing.
template <ModelSpec (*from_hf)(const Config&)>
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  return gguf::Members(config, checkpoint).read(from_hf);
}

ModuleLayout gguf_moe_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  return layout;
}

ModuleLayout qwen3_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  return layout;
}

ModuleLayout qwen3_moe_layout() {
  ModuleLayout layout = qwen3_layout();
  hf::add_experts(layout);
  return layout;
}

/// Published ones have stacked experts turned; transformers writes them as they are.
ModuleLayout turned_moe_layout() {
  ModuleLayout layout = qwen3_moe_layout();
  layout.transposed_experts = true;
  return layout;
}

}  // namespace

Family qwen2_vl_family() {
  return {"qwen2_vl",
          {"qwen2_vl_text", "qwen2_5_vl_text"},
          {"qwen2vl"},
          from_qwen2,
          from_gguf<from_qwen2>,
          hf::llama_layout(),
          gguf::layout()};
}
Family qwen3_vl_family() {
  return {"qwen3_vl",     {"qwen3_vl_text"}, {"qwen3vl"}, from_qwen3, from_gguf<from_qwen3>,
          qwen3_layout(), gguf::layout()};
}
Family qwen2_5_omni_family() {
  return {"qwen2_5_omni", {"qwen2_5_omni_text"}, {}, from_qwen2_omni,
          nullptr,        hf::llama_layout(),    {}};
}
Family qwen3_omni_moe_family() {
  return {"qwen3_omni_moe", {"qwen3_omni_moe_text"}, {}, from_qwen3_omni,
          nullptr,          qwen3_moe_layout(),      {}};
}
Family qwen3_vl_moe_family() {
  return {"qwen3_vl_moe",   {"qwen3_vl_moe_text"},     {"qwen3vlmoe"},
          from_qwen3_moe,   from_gguf<from_qwen3_moe>, turned_moe_layout(),
          gguf_moe_layout()};
}

}  // namespace openllm::model
