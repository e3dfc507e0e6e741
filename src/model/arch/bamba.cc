// Bamba: Mamba 2 on most layers, attention with RoPE on half of each head on the others. Source:
// transformers models/bamba.

#include <algorithm>

#include "model/arch/family.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 128000,
                                                .n_kv_heads = 8,
                                                .ffn_dim = 14336,
                                                .max_positions = 262144,
                                                .norm_eps = 1e-5});
  hf::read_attention_bias(config, spec);
  hf::read_single_rope(config, spec, {.partial = 0.5});
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  const Mamba2Spec mamba = hf::read_mamba2(config, spec, {});
  const std::vector<double> attends =
      config.numbers("attn_layer_indices").value_or(std::vector<double>());
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    const bool attends_here =
        std::find(attends.begin(), attends.end(), static_cast<double>(i)) != attends.end();
    if (!attends_here) spec.layers[i].mixer = mamba;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::rename(layout, role::kFinalNorm, "final_layernorm");
  hf::rename(layout, role::kFfnNorm, "layers.#.pre_ff_layernorm");
  hf::rename(layout, role::kGate, "layers.#.feed_forward.gate_proj");
  hf::rename(layout, role::kUp, "layers.#.feed_forward.up_proj");
  hf::rename(layout, role::kDown, "layers.#.feed_forward.down_proj");
  hf::add_mamba2(layout, false);
  return layout;
}

}  // namespace

Family bamba_family() { return {"bamba", {"bamba"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
