#include "model/arch/gemma.h"

#include <cmath>

namespace openllm::model {

namespace {

void set_sandwich_norms(ModelSpec& spec) {
  for (LayerSpec& layer : spec.layers) layer.residual.norm_after = true;
}

}  // namespace

ModelSpec read_gemma(const Config& config, int vocab_size, int max_positions) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = vocab_size,
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
  set_sandwich_norms(spec);
  // transformers rounds this to the model's dtype; the F32 value is within 0.4 % of what a BF16
  // model does.
  spec.embedding.scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  const auto scale =
      static_cast<float>(1.0 / std::sqrt(config.positive_or("query_pre_attn_scalar", 256.0)));
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.scale = scale; });
  hf::read_attention_bias(config, spec);
  return spec;
}

ModelSpec read_gemma_gguf(const Config& config, const format::Checkpoint& checkpoint,
                          int largest_n_layers) {
  gguf::refuse_experts(config);
  ModelSpec spec = gguf::read_common(config, checkpoint, device::NormKind::kRms);
  spec.norm.added = 1.0F;
  set_sandwich_norms(spec);
  each_ffn(spec, [](DenseFfnSpec& ffn) { ffn.activation = device::Activation::kGeluTanh; });
  spec.embedding.scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  gguf::read_biases(checkpoint, spec);
  if (spec.n_layers() == largest_n_layers) {
    each_attention(spec, [&](SelfAttentionSpec& attention) {
      attention.scale =
          1.0F / std::sqrt(static_cast<float>(spec.dim) / static_cast<float>(attention.n_heads));
    });
  }
  gguf::read_attention_scale(config, spec);
  return spec;
}

float read_soft_cap(const Config& config, std::string_view key, double otherwise) {
  if (config.mentions(key)) otherwise = 0.0;
  return static_cast<float>(config.not_negative_or(key, otherwise));
}

ModuleLayout gemma_layout() {
  ModuleLayout layout = hf::llama_layout();
  // The name llama gives the norm before the FFN is the norm after attention here.
  std::erase_if(layout.modules, [](const ModuleName& name) { return name.role == role::kFfnNorm; });
  layout.modules.push_back({role::kMixerPostNorm, "layers.#.post_attention_layernorm"});
  layout.modules.push_back({role::kFfnNorm, "layers.#.pre_feedforward_layernorm"});
  layout.modules.push_back({role::kFfnPostNorm, "layers.#.post_feedforward_layernorm"});
  return layout;
}

}  // namespace openllm::model
