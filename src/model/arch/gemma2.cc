// Gemma 2: sandwich norms, soft caps, windows on every other layer.
// Sources: transformers models/gemma2, llama.cpp's "gemma2" architecture.

#include "model/arch/gemma.h"

namespace openllm::model {
namespace {

constexpr int kLargestLayers = 46;  // 27B

void read_soft_caps(const Config& config, DecoderSpec& spec) {
  spec.attention_soft_cap = read_soft_cap(config, "attn_logit_softcapping", 50.0);
  spec.logit_soft_cap = read_soft_cap(config, "final_logit_softcapping", 30.0);
}

DecoderSpec from_hf(const Config& config) {
  DecoderSpec spec = read_gemma(config, 256000, 8192);
  hf::read_single_rope(config, spec);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers; ++i) windowed.push_back(i % 2 == 0);
  hf::read_layer_types(config, spec, hf::read_window(config), windowed);
  read_soft_caps(config, spec);
  return spec;
}

DecoderSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  DecoderSpec spec = read_gemma_gguf(config, checkpoint, kLargestLayers);
  gguf::add_rope(checkpoint, gguf::read_rope(config, spec, device::RopeStyle::kHalves), spec);
  const int window = gguf::read_window(config, 4096);
  for (std::size_t i = 0; i < spec.layers.size() && window > 0; i += 2) {
    spec.layers[i].set_window(window);
  }
  read_soft_caps(config, spec);
  return spec;
}

}  // namespace

Family gemma2_family() {
  return {"gemma2", {"gemma2"}, {"gemma2"}, from_hf, from_gguf, gemma_layout(), gguf::layout()};
}

}  // namespace openllm::model
