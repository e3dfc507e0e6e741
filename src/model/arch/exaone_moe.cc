// EXAONE MoE (K-EXAONE): norms before attention and FFN, norms on the heads of Q and K, a window on
// some layers, which alone have RoPE then, and DeepSeek-V3's mixtures. What predicts further tokens
// is left out. Source: transformers models/exaone_moe.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(
      config, {.vocab_size = 102400, .n_kv_heads = 32, .ffn_dim = 16384, .norm_eps = 1e-5});
  hf::read_single_rope(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  if (const std::optional<int> window = hf::read_window(config)) {
    hf::read_layer_types(config, spec, window, hf::read_window_pattern(config, spec.n_layers(), 4));
    each_attention(spec, [](SelfAttentionSpec& attention) {
      if (attention.window == 0) attention.rope = -1;
    });
  }
  MoeFfnSpec moe = hf::read_moe(config, spec, {.n_experts_key = "num_experts", .ffn_dim = 1024});
  hf::read_sigmoid_router(config, moe, 2.5, 1, 1, true);
  hf::place_moe_by_type(config, spec, moe, config.int_or("num_shared_experts", 1, 0, kMaxExperts),
                        config.int_or("first_k_dense_replace", 1, 0, kMaxLayers));
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  layout.modules.push_back({role::kRouterCorrection, "layers.#.mlp.e_score_correction_bias"});
  layout.ignored.push_back("mtp.*");
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.set("sliding_window", nullptr)
      .copy("attention.sliding_window", "sliding_window")
      .copy("expert_shared_count", "num_shared_experts");
  base::JsonArray kinds;
  for (const bool windowed : gguf::read_windowed_layers(config, members.n_layers(), 4))
    kinds.emplace_back(windowed ? "sliding_attention" : "full_attention");
  members.set("layer_types", std::move(kinds));
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family exaone_moe_family() {
  return {"exaone_moe", {"exaone_moe"}, {"exaone-moe"}, from_hf,
          from_gguf,    hf_layout(),    gguf_layout()};
}

}  // namespace openllm::model
