// Gemma 2: sandwich norms, soft caps, windows on every other layer.
// Sources: transformers models/gemma2, llama.cpp's "gemma2" architecture.

#include "model/arch/gemma.h"

namespace openllm::model {
namespace {

constexpr int kLargestLayers = 46;  // 27B

void read_soft_caps(const Config& config, ModelSpec& spec) {
  const float cap = read_soft_cap(config, "attn_logit_softcapping", 50.0);
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.soft_cap = cap; });
  spec.head->soft_cap = read_soft_cap(config, "final_logit_softcapping", 30.0);
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_gemma(config, 256000, 8192);
  hf::read_single_rope(config, spec);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back(i % 2 == 0);
  hf::read_layer_types(config, spec, hf::read_window(config), windowed);
  read_soft_caps(config, spec);
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  ModelSpec spec = read_gemma_gguf(config, checkpoint, kLargestLayers);
  gguf::read_single_rope(config, checkpoint, device::RopeStyle::kHalves, spec);
  const int window = gguf::read_window(config, 4096);
  for (int i = 0; i < spec.n_layers(); i += 2) attention_of(spec, i).window = window;
  read_soft_caps(config, spec);
  return spec;
}

}  // namespace

Family gemma2_family() {
  return {"gemma2", {"gemma2"}, {"gemma2"}, from_hf, from_gguf, gemma_layout(), gguf::layout()};
}

}  // namespace openllm::model
