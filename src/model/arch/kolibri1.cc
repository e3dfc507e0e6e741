// Kolibri: sandwich norms as GLM-4, norms on the heads of Q and K, RoPE on windowed layers alone, a
// mixture on every layer whose experts are chosen by raw scores and weighed by their sigmoids.
// Source: transformers models/kolibri1.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 128000,
                                                .hidden_size = 2560,
                                                .n_layers = 50,
                                                .n_heads = 48,
                                                .n_kv_heads = 4,
                                                .head_dim = 128,
                                                .max_positions = 262144});
  hf::read_single_rope(config, spec);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back((i + 1) % 5 != 0);
  const std::optional<int> window = hf::read_window(config, 513);
  hf::read_layer_types(config, spec, window, windowed);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.qk_norm = QkNorm::kHead;
    if (window && attention.window == 0) attention.rope = -1;
  });
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_local_experts", "num_experts"}),
                    .n_experts = 384,
                    .top_k = 6,
                    .ffn_dim = 512});
  moe.router.score = device::RouterSpec::Score::kSigmoid;
  moe.router.chooses_raw = true;
  moe.router.normalise = config.bool_or("norm_topk_prob", false);
  moe.router_correction = true;
  moe.shared = moe.expert;
  moe.shared->ffn_dim = config.int_or("shared_expert_intermediate_size", 512, 1, kMaxFfnDim);
  for (LayerSpec& layer : spec.layers) {
    layer.ffn = moe;
    layer.residual.norm_after = true;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  const std::vector<ModuleName> own = {
      {role::kMixerPostNorm, "layers.#.post_self_attn_layernorm"},
      {role::kMixerPostNorm, "layers.#.post_attn_norm"},
      {role::kFfnPostNorm, "layers.#.post_mlp_layernorm"},
      {role::kFfnPostNorm, "layers.#.post_ffn_norm"},
      {role::kRouterCorrection, "layers.#.moe.router.expert_bias"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  return layout;
}

}  // namespace

Family kolibri1_family() {
  return {"kolibri1", {"kolibri1"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
