// Qwen 3, dense: Qwen 2 with an RMS norm per head on Q and K, an explicit head_dim, biases only on
// request. Sources: transformers models/qwen3, llama.cpp's "qwen3" architecture.

#include "model/arch/family.h"
#include "model/arch/gguf.h"
#include "model/arch/qwen.h"

namespace openllm::model {
namespace {

DecoderSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.n_kv_heads = 32;
  defaults.head_dim = 128;
  defaults.max_positions = 32768;
  DecoderSpec spec = hf::read_llama_like(config, defaults);
  hf::read_single_rope(config, spec);
  read_qwen_windows(config, spec);
  spec.qk_norm = true;
  spec.attention_bias = config.bool_or("attention_bias", false);
  spec.attention_output_bias = spec.attention_bias;
  return spec;
}

DecoderSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  DecoderSpec spec = gguf::read_common(config, checkpoint, device::NormKind::kRms);
  gguf::add_rope(checkpoint, gguf::read_rope(config, spec, device::RopeStyle::kHalves), spec);
  gguf::read_biases(checkpoint, spec);
  spec.qk_norm = true;
  spec.attention_scale = gguf::attention_scale(config, spec.attention_scale);
  return spec;
}

TensorLayout hf_layout() {
  TensorLayout layout = hf::llama_layout();
  layout.names.push_back({Slot::kQNorm, "layers.#.self_attn.q_norm.weight"});
  layout.names.push_back({Slot::kKNorm, "layers.#.self_attn.k_norm.weight"});
  return layout;
}

}  // namespace

Family qwen3_family() {
  return {"qwen3", {"qwen3"}, {"qwen3"}, from_hf, from_gguf, hf_layout(), gguf::layout()};
}

}  // namespace openllm::model
