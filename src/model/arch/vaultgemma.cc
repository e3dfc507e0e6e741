// VaultGemma: Gemma 2 without the norms behind attention and FFN. Source: transformers
// models/vaultgemma.

#include "model/arch/gemma.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_gemma(config, 256000, 8192);
  hf::read_single_rope(config, spec);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back(i % 2 == 0);
  hf::read_layer_types(config, spec, hf::read_window(config), windowed);
  const float cap = read_soft_cap(config, "attn_logit_softcapping", 50.0);
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.soft_cap = cap; });
  spec.head->soft_cap = read_soft_cap(config, "final_logit_softcapping", 30.0);
  for (LayerSpec& layer : spec.layers) layer.residual.norm_after = false;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = gemma_layout();
  std::erase_if(layout.modules, [](const ModuleName& name) {
    return name.role == role::kMixerPostNorm || name.role == role::kFfnPostNorm;
  });
  return layout;
}

}  // namespace

Family vaultgemma_family() {
  return {"vaultgemma", {"vaultgemma"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
