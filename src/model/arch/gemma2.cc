// Gemma 2: sandwich norms, soft caps, windows on every other layer.
// Sources: transformers models/gemma2, llama.cpp's "gemma2" architecture.

#include <algorithm>
#include <cmath>

#include "model/arch/gemma.h"

namespace openllm::model {
namespace {

/// The number of layers of the largest Gemma 2, whose queries GGUF scales by dim / n_heads instead
/// of head_dim.
constexpr int kLargestLayers = 46;

DecoderSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 256000;
  defaults.hidden_size = 2304;
  defaults.ffn_dim = 9216;
  defaults.n_layers = 26;
  defaults.n_heads = 8;
  defaults.n_kv_heads = 4;
  defaults.head_dim = 256;
  defaults.max_positions = 8192;
  DecoderSpec spec = read_gemma(config, defaults);
  hf::read_single_rope(config, spec);
  std::optional<int> window = hf::read_window(config);
  if (!config.mentions("sliding_window")) window = 4096;
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers; ++i) windowed.push_back(i % 2 == 0);
  hf::read_layer_types(config, spec, window, windowed);
  spec.attention_soft_cap = read_soft_cap(config, "attn_logit_softcapping", 50.0);
  spec.logit_soft_cap = read_soft_cap(config, "final_logit_softcapping", 30.0);
  return spec;
}

DecoderSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  DecoderSpec spec = read_gemma_gguf(config, checkpoint);
  gguf::add_rope(checkpoint, gguf::read_rope(config, spec, device::RopeStyle::kHalves), spec);
  const int window = gguf::read_window(config, 4096);
  for (int i = 0; i < spec.n_layers && window > 0; i += 2) {
    LayerSpec& layer = spec.layers[static_cast<std::size_t>(i)];
    layer.mixer = Mixer::kWindowAttention;
    layer.window = window;
  }
  spec.attention_soft_cap = read_soft_cap(config, "attn_logit_softcapping", 50.0);
  spec.logit_soft_cap = read_soft_cap(config, "final_logit_softcapping", 30.0);
  if (spec.n_layers == kLargestLayers) {
    spec.attention_scale =
        1.0F / std::sqrt(static_cast<float>(spec.dim) / static_cast<float>(spec.n_heads));
  }
  spec.attention_scale = gguf::attention_scale(config, spec.attention_scale);
  return spec;
}

}  // namespace

DecoderSpec read_gemma(const Config& config, const hf::Defaults& defaults) {
  hf::Defaults gemma = defaults;
  gemma.tied = true;
  gemma.activation_key = "hidden_activation";
  gemma.activation = "gelu_pytorch_tanh";
  DecoderSpec spec = hf::read_llama_like(config, gemma);
  spec.norm.weight_offset = 1.0F;
  spec.norm_place = NormPlace::kSandwich;
  // transformers rounds this to the model's dtype; the F32 value is within 0.4 % of what a BF16
  // model does.
  spec.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  spec.attention_scale =
      static_cast<float>(1.0 / std::sqrt(config.positive_or("query_pre_attn_scalar", 256.0)));
  spec.attention_bias = config.bool_or("attention_bias", false);
  spec.attention_output_bias = spec.attention_bias;
  return spec;
}

DecoderSpec read_gemma_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  DecoderSpec spec = gguf::read_common(config, checkpoint, device::NormKind::kRms);
  spec.norm_place = NormPlace::kSandwich;
  spec.activation = device::Activation::kGeluTanh;
  spec.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  gguf::read_biases(checkpoint, spec);
  return spec;
}

float read_soft_cap(const Config& config, std::string_view key, double otherwise) {
  if (const auto cap = config.find_positive(key)) return static_cast<float>(*cap);
  return config.mentions(key) ? 0.0F : static_cast<float>(otherwise);
}

TensorLayout gemma_layout() {
  TensorLayout layout = hf::llama_layout();
  // The name llama gives the norm before the FFN is the norm after attention here.
  std::erase_if(layout.names, [](const TensorName& name) { return name.slot == Slot::kFfnNorm; });
  layout.names.push_back({Slot::kPostAttentionNorm, "layers.#.post_attention_layernorm.weight"});
  layout.names.push_back({Slot::kFfnNorm, "layers.#.pre_feedforward_layernorm.weight"});
  layout.names.push_back({Slot::kPostFfnNorm, "layers.#.post_feedforward_layernorm.weight"});
  return layout;
}

Family gemma2_family() {
  return {"gemma2", {"gemma2"}, {"gemma2"}, from_hf, from_gguf, gemma_layout(), gguf::layout()};
}

}  // namespace openllm::model
