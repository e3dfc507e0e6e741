// A.X K1: DeepSeek-V3 with a norm behind every mixture. Source: transformers models/axk1.

#include <utility>

#include "model/arch/deepseek.h"

namespace openllm::model {
namespace {

/// Which layers have mixtures, where `mlp_layer_types` does not say so.
void place(const Config& config, ModelSpec& spec, MoeFfnSpec moe) {
  const int n_shared = config.int_or("n_shared_experts", 1, 0, kMaxExperts);
  const int n_dense = config.int_or("first_k_dense_replace", 1, 0, kMaxLayers);
  const int step = config.int_or("moe_layer_freq", 1, 1, kMaxLayers);
  const FfnSpec dense = spec.layers[0].ffn;
  hf::place_moe_by_type(config, spec, std::move(moe), n_shared, n_dense);
  if (config.has("mlp_layer_types")) return;
  for (int i = 0; i < spec.n_layers(); ++i) {
    if (i % step != 0) spec.layers[static_cast<std::size_t>(i)].ffn = dense;
  }
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_latent_network(config,
                                       {.vocab_size = 163840,
                                        .hidden_size = 7168,
                                        .n_layers = 61,
                                        .n_kv_heads = 64,
                                        .ffn_dim = 18432,
                                        .max_positions = 32768},
                                       {.n_heads = 64});
  each_ffn(spec, [](DenseFfnSpec& ffn) { ffn.bias = false; });
  MoeFfnSpec moe = read_deepseek3_moe(config, spec, 192, 2048, 2.5, 8, 4);
  moe.post_norm = true;
  place(config, spec, std::move(moe));
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = deepseek_layout();
  layout.modules.push_back({role::kMoePostNorm, "layers.#.post_mlp_layernorm"});
  layout.modules.push_back({role::kMoePostNorm, "layers.#.mlp.post_mlp_layernorm"});
  return layout;
}

}  // namespace

Family axk1_family() { return {"axk1", {"axk1"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
