// Qwen 2 and 2.5: llama with biases on Q, K and V, and a window on the layers from
// max_window_layers on. Sources: transformers models/qwen2, llama.cpp's "qwen2" architecture.

#include "model/arch/family.h"
#include "model/arch/gguf.h"
#include "model/arch/qwen.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_qwen(config);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.bias = true; });
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::refuse_experts(config);
  return gguf::read_llama_like(config, checkpoint, device::RopeStyle::kHalves);
}

}  // namespace

Family qwen2_family() {
  return {"qwen2", {"qwen2"}, {"qwen2"}, from_hf, from_gguf, hf::llama_layout(), gguf::layout()};
}

}  // namespace openllm::model
