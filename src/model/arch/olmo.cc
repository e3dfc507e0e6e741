// OLMo 1: llama with LayerNorms that have neither weights nor biases; Q, K and V may be clipped.
// Source: transformers models/olmo.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50304});
  spec.norm = {};
  spec.norm.kind = device::NormKind::kLayer;
  spec.norm.eps = 1e-5F;
  spec.norm.has_weight = false;
  spec.norm.has_bias = false;
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  const auto clip = static_cast<float>(config.find_positive("clip_qkv").value_or(0.0));
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.clip_qkv = clip; });
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  std::erase_if(layout.modules, [](const ModuleName& name) {
    return name.role == role::kMixerNorm || name.role == role::kFfnNorm ||
           name.role == role::kFinalNorm;
  });
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  return members.read(from_hf, gguf::Members::Heads::kPaired);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout_with({}, {role::kMixerNorm, role::kFfnNorm, role::kFinalNorm});
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family olmo_family() {
  return {"olmo", {"olmo"}, {"olmo"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
