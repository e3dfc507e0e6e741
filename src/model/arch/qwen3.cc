// Qwen 3, dense: Qwen 2 with an RMS norm per head on Q and K, an explicit head_dim, biases only on
// request. Sources: transformers models/qwen3, llama.cpp's "qwen3" architecture.

#include "model/arch/family.h"
#include "model/arch/gguf.h"
#include "model/arch/qwen.h"

namespace openllm::model {
namespace {

DecoderSpec from_hf(const Config& config) {
  DecoderSpec spec = read_qwen(config, {.head_dim = 128});
  spec.qk_norm = true;
  spec.attention_bias = config.bool_or("attention_bias", false);
  spec.attention_output_bias = spec.attention_bias;
  return spec;
}

DecoderSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  DecoderSpec spec = gguf::read_llama_like(config, checkpoint, device::RopeStyle::kHalves);
  spec.qk_norm = true;
  return spec;
}

TensorLayout hf_layout() {
  TensorLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  return layout;
}

}  // namespace

Family qwen3_family() {
  return {"qwen3", {"qwen3"}, {"qwen3"}, from_hf, from_gguf, hf_layout(), gguf::layout()};
}

}  // namespace openllm::model
