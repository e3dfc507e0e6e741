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
  DecoderSpec spec = gguf::read_common(config, checkpoint, device::NormKind::kRms);
  const RopeParameters rope = gguf::read_rope(config, spec, device::RopeStyle::kInterleaved);
  gguf::add_rope(checkpoint, rope, spec);
  gguf::read_biases(checkpoint, spec);
  spec.attention_scale = gguf::attention_scale(config, spec.attention_scale);
  // Mistral is written under this name too.
  if (const int window = gguf::read_window(config, 0); window > 0) {
    for (LayerSpec& layer : spec.layers) {
      layer.mixer = Mixer::kWindowAttention;
      layer.window = window;
    }
  }
  return spec;
}

}  // namespace

Family llama_family() {
  return {"llama", {"llama"}, {"llama"}, from_hf, from_gguf, hf::llama_layout(), gguf::layout()};
}

}  // namespace openllm::model
