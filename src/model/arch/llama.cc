// Llama 1 to 3, and everything that is published under that name (SmolLM2, TinyLlama, ...).
// Sources: transformers models/llama, llama.cpp's "llama" architecture (Q and K rows permuted so
// that RoPE turns neighbouring pairs).

#include "model/arch/family.h"
#include "model/arch/gguf.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

DecoderSpec from_hf(const Config& config) {
  DecoderSpec spec = hf::read_llama_like(config, {});
  hf::read_single_rope(config, spec);
  spec.attention_bias = config.bool_or("attention_bias", false);
  spec.attention_output_bias = spec.attention_bias;
  spec.ffn_bias = config.bool_or("mlp_bias", false);
  return spec;
}

DecoderSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  DecoderSpec spec = gguf::read_llama_like(config, checkpoint, device::RopeStyle::kInterleaved);
  // Mistral is written under this name too.
  if (const int window = gguf::read_window(config, 0); window > 0) {
    for (LayerSpec& layer : spec.layers) layer.set_window(window);
  }
  return spec;
}

}  // namespace

Family llama_family() {
  return {"llama", {"llama"}, {"llama"}, from_hf, from_gguf, hf::llama_layout(), gguf::layout()};
}

}  // namespace openllm::model
