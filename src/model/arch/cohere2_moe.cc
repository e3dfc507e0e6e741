// Command A+: Command A with mixtures, whose first layers may have dense FFNs and RoPE without a
// window. Source: transformers models/cohere2_moe.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

constexpr int kMostShared = 1 << 10;

MoeFfnSpec read_mixture(const Config& config, const ModelSpec& spec) {
  MoeFfnSpec moe = hf::read_moe(config, spec, {.n_experts = 8, .top_k = 2, .ffn_dim_key = {}});
  const std::string score = config.string_or("expert_selection_fn", "softmax");
  if (score != "softmax" && score != "sigmoid")
    config.unsupported("expert_selection_fn", "unknown (expected softmax or sigmoid, got ", score,
                       ")");
  // By softmax it is over the chosen experts alone, which is to say normalised.
  if (score == "sigmoid") {
    moe.router.score = device::RouterSpec::Score::kSigmoid;
    moe.router.normalise = config.bool_or("norm_topk_prob", true);
  }
  const int n_shared = config.int_or("num_shared_experts", 0, 0, kMostShared);
  if (n_shared == 0) return moe;
  moe.shared = moe.expert;
  const std::int64_t dim = std::int64_t{moe.expert.ffn_dim} * n_shared;
  if (dim > kMaxFfnDim) config.corrupt("num_shared_experts", "too many (", dim, " columns in all)");
  moe.shared->ffn_dim = static_cast<int>(dim);
  const std::string together = config.string_or("shared_expert_combination_strategy", "average");
  if (together != "average" && together != "sum") {
    config.unsupported("shared_expert_combination_strategy",
                       "unknown (expected average or sum, got ", together, ")");
  }
  if (together == "average") {
    moe.router.scale = 0.5F;
    moe.shared->output_scale = 0.5F;
  }
  return moe;
}

void read_windows(const Config& config, ModelSpec& spec, int n_dense) {
  const int prefix = config.int_or("prefix_dense_sliding_window_pattern", 1, 1, kMaxLayers);
  const int pattern = config.int_or("sliding_window_pattern", 4, 1, kMaxLayers);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) {
    windowed.push_back(i < n_dense ? (i + 1) % prefix != 0 : (i - n_dense + 1) % pattern != 0);
  }
  hf::read_layer_types(config, spec, hf::read_window(config), windowed);
}

/// RMS norms where rms_norm_eps says so.
void read_norms(const Config& config, ModelSpec& spec) {
  if (config.has("rms_norm_eps")) return;
  hf::use_layer_norm(config, spec, "layer_norm_eps", 1e-5);
  spec.norm.has_bias = false;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 256000,
                                                .hidden_size = 8192,
                                                .n_layers = 40,
                                                .n_heads = 64,
                                                .head_dim = 128,
                                                .ffn_dim = 22528,
                                                .max_positions = 8192,
                                                .tied = true});
  read_norms(config, spec);
  hf::read_single_rope(config, spec, {.style = device::RopeStyle::kInterleaved});
  hf::read_attention_bias(config, spec);
  const int n_dense = config.int_or("first_k_dense_replace", 0, 0, kMaxLayers);
  read_windows(config, spec, n_dense);
  const MoeFfnSpec moe = read_mixture(config, spec);
  if (const auto dim = config.find_int("prefix_dense_intermediate_size", 1, kMaxFfnDim))
    each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.ffn_dim = *dim; });
  hf::place_moe_by_type(config, spec, moe, 0, n_dense);
  const bool turns_dense =
      config.int_or("prefix_dense_sliding_window_pattern", 1, 1, kMaxLayers) == 1;
  for (int i = 0; i < spec.n_layers(); ++i) {
    LayerSpec& layer = spec.layers[static_cast<std::size_t>(i)];
    const bool is_dense = std::holds_alternative<DenseFfnSpec>(layer.ffn);
    SelfAttentionSpec& attention = attention_of(spec, i);
    if (attention.window == 0 && !(is_dense && turns_dense)) attention.rope = -1;
    layer.residual.parallel = true;
    layer.residual.shared_norm = true;
  }
  spec.head->scale = static_cast<float>(config.positive_or("logit_scale", 0.0625));
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  return layout;
}

}  // namespace

Family cohere2_moe_family() {
  return {"cohere2_moe", {"cohere2_moe"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
