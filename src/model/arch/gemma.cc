#include "model/arch/gemma.h"

#include <cmath>

namespace openllm::model {

DecoderSpec read_gemma(const Config& config, int vocab_size, int max_positions) {
  DecoderSpec spec = hf::read_llama_like(config, {.vocab_size = vocab_size,
                                                  .hidden_size = 2304,
                                                  .n_layers = 26,
                                                  .n_heads = 8,
                                                  .n_kv_heads = 4,
                                                  .head_dim = 256,
                                                  .ffn_dim = 9216,
                                                  .max_positions = max_positions,
                                                  .tied = true,
                                                  .activation_key = "hidden_activation",
                                                  .activation = "gelu_pytorch_tanh"});
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

DecoderSpec read_gemma_gguf(const Config& config, const format::Checkpoint& checkpoint,
                            int largest_n_layers) {
  DecoderSpec spec = gguf::read_common(config, checkpoint, device::NormKind::kRms);
  spec.norm_place = NormPlace::kSandwich;
  spec.activation = device::Activation::kGeluTanh;
  spec.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  gguf::read_biases(checkpoint, spec);
  if (spec.n_layers == largest_n_layers) {
    spec.attention_scale =
        1.0F / std::sqrt(static_cast<float>(spec.dim) / static_cast<float>(spec.n_heads));
  }
  spec.attention_scale = gguf::attention_scale(config, spec.attention_scale);
  return spec;
}

float read_soft_cap(const Config& config, std::string_view key, double otherwise) {
  if (config.mentions(key)) otherwise = 0.0;
  return static_cast<float>(config.not_negative_or(key, otherwise));
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

}  // namespace openllm::model
