// HyperCLOVA X: Granite with sandwich norms, whose logits are multiplied instead of divided.
// Source: transformers models/hyperclovax.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  const float scale = attention_of(spec, 0).scale;
  hf::read_granite_multipliers(config, spec);
  if (!config.has("attention_multiplier"))
    each_attention(spec, [&](SelfAttentionSpec& attention) { attention.scale = scale; });
  spec.head->scale = static_cast<float>(config.positive_or("logits_scaling", 1.0));
  const bool norms = config.bool_or("use_post_norm", true);
  for (LayerSpec& layer : spec.layers) layer.residual.norm_after = norms;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  layout.modules.push_back({role::kMixerPostNorm, "layers.#.post_norm1"});
  layout.modules.push_back({role::kFfnPostNorm, "layers.#.post_norm2"});
  return layout;
}

}  // namespace

Family hyperclovax_family() {
  return {"hyperclovax", {"hyperclovax"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
