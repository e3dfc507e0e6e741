// OLMo 2: llama with norms behind attention and FFN instead of before them, and norms on whole rows
// of Q and K. Source: transformers models/olmo2.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50304, .norm_eps = 1e-5});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
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

Family olmo2_family() { return {"olmo2", {"olmo2"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
