// Qwen 3, dense: Qwen 2 with an RMS norm per head on Q and K, an explicit head_dim, biases only on
// request. Sources: transformers models/qwen3, llama.cpp's "qwen3" architecture.

#include "model/arch/family.h"
#include "model/arch/gguf.h"
#include "model/arch/qwen.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_qwen(config, {.head_dim = 128});
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  hf::read_attention_bias(config, spec);
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::refuse_experts(config);
  ModelSpec spec = gguf::read_llama_like(config, checkpoint, device::RopeStyle::kHalves);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  return layout;
}

}  // namespace

Family qwen3_family() {
  return {"qwen3", {"qwen3"}, {"qwen3"}, from_hf, from_gguf, hf_layout(), gguf::layout()};
}

}  // namespace openllm::model
