// OLMo 3: OLMo 2 with a window on three of four layers, and a RoPE for each kind of layer. Source:
// transformers models/olmo3.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50304, .norm_eps = 1e-5});
  hf::read_attention_bias(config, spec);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back((i + 1) % 4 != 0);
  hf::read_layer_types(config, spec, hf::read_window(config), windowed);
  hf::read_ropes_by_type(config, spec, {.theta = 500000.0});
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kWholeRow; });
  hf::use_norms_after(spec);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::norms_after_layout();
  hf::add_qk_norms(layout);
  return layout;
}

}  // namespace

Family olmo3_family() { return {"olmo3", {"olmo3"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
