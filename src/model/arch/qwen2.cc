// Qwen 2 and 2.5: llama with biases on Q, K and V, and a window on the layers from
// max_window_layers on. Sources: transformers models/qwen2, llama.cpp's "qwen2" architecture.

#include "model/arch/family.h"
#include "model/arch/gguf.h"
#include "model/arch/qwen.h"

namespace openllm::model {
namespace {

DecoderSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.n_kv_heads = 32;
  defaults.max_positions = 32768;
  DecoderSpec spec = hf::read_llama_like(config, defaults);
  hf::read_single_rope(config, spec);
  read_qwen_windows(config, spec);
  spec.attention_bias = true;
  return spec;
}

DecoderSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  DecoderSpec spec = gguf::read_common(config, checkpoint, device::NormKind::kRms);
  gguf::add_rope(checkpoint, gguf::read_rope(config, spec, device::RopeStyle::kHalves), spec);
  gguf::read_biases(checkpoint, spec);
  spec.attention_scale = gguf::attention_scale(config, spec.attention_scale);
  return spec;
}

}  // namespace

void read_qwen_windows(const Config& config, DecoderSpec& spec) {
  const bool use_window = config.bool_or("use_sliding_window", false);
  std::optional<int> window;
  if (use_window) {
    window = hf::read_window(config);
    if (!config.mentions("sliding_window")) window = 4096;
  }
  const int first = config.int_or("max_window_layers", 28, 0, kMaxPositions);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers; ++i) windowed.push_back(window.has_value() && i >= first);
  hf::read_layer_types(config, spec, window, windowed);
}

Family qwen2_family() {
  return {"qwen2", {"qwen2"}, {"qwen2"}, from_hf, from_gguf, hf::llama_layout(), gguf::layout()};
}

}  // namespace openllm::model
