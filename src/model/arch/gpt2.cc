// GPT-2: learned positions, LayerNorm, one fused QKV, a plain FFN, biases everywhere. Hugging Face
// stores its linear weights transposed (Conv1D); GGUF does not. Sources: transformers models/gpt2,
// llama.cpp's "gpt2" architecture.

#include <cmath>

#include "model/arch/gguf.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// Layers of these sizes, and as many learned positions as the model has.
void set_layers(SelfAttentionSpec attention, DenseFfnSpec ffn, int n_layers, ModelSpec& spec) {
  attention.bias = true;
  attention.output_bias = true;
  ffn.gated = false;
  ffn.bias = true;
  spec.layers.assign(static_cast<std::size_t>(n_layers), LayerSpec{attention, {}, ffn, {}});
  spec.embedding.n_positions = spec.max_positions;
}

ModelSpec from_hf(const Config& config) {
  hf::refuse_unsupported(config);
  if (config.bool_or("add_cross_attention", false)) {
    config.unsupported("add_cross_attention", "cross attention is not supported");
  }
  ModelSpec spec;
  // The general names win over GPT-2's own ones (as transformers).
  const std::string_view heads_key = config.first_of({"num_attention_heads", "n_head"});
  spec.vocab_size = hf::read_size(config, "vocab_size", 50257, kMaxVocab);
  spec.dim = hf::read_size(config, config.first_of({"hidden_size", "n_embd"}), 768, kMaxDim);
  const int n_layers =
      hf::read_size(config, config.first_of({"num_hidden_layers", "n_layer"}), 12, kMaxLayers);
  SelfAttentionSpec attention;
  attention.n_heads = hf::read_size(config, heads_key, 12, kMaxHeads);
  attention.n_kv_heads = attention.n_heads;
  if (spec.dim % attention.n_heads != 0) {
    config.corrupt(heads_key, "does not divide the hidden size (expected a divisor of ", spec.dim,
                   ", got ", attention.n_heads, ")");
  }
  attention.head_dim = spec.dim / attention.n_heads;
  DenseFfnSpec ffn;
  ffn.ffn_dim = config.int_or("n_inner", std::int64_t{4} * spec.dim, 1, kMaxFfnDim);
  spec.max_positions = config.int_or(config.first_of({"max_position_embeddings", "n_positions"}),
                                     1024, 1, kMaxPositions);
  spec.norm.kind = device::NormKind::kLayer;
  spec.norm.eps = static_cast<float>(config.not_negative_or("layer_norm_epsilon", 1e-5));
  ffn.activation = hf::read_activation(config, "activation_function", "gelu_new");
  spec.head.emplace();
  spec.head->tied = config.bool_or("tie_word_embeddings", true);
  attention.scale = config.bool_or("scale_attn_weights", true)
                        ? 1.0F / std::sqrt(static_cast<float>(attention.head_dim))
                        : 1.0F;
  set_layers(attention, ffn, n_layers, spec);
  if (config.bool_or("scale_attn_by_inverse_layer_idx", false)) {
    float index = 0.0F;
    each_attention(spec, [&](SelfAttentionSpec& layer) { layer.scale /= ++index; });
  }
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::refuse_experts(config);
  ModelSpec spec = gguf::read_common(config, checkpoint, device::NormKind::kLayer);
  each_ffn(spec, [](DenseFfnSpec& ffn) { ffn.activation = device::Activation::kGeluTanh; });
  set_layers(attention_of(spec, 0), std::get<DenseFfnSpec>(spec.layers[0].ffn), spec.n_layers(),
             spec);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "wte"},
      {role::kPositions, "wpe"},
      {role::kFinalNorm, "ln_f"},
      {role::kHead, "lm_head", true},
      {role::kMixerNorm, "h.#.ln_1"},
      {role::kQkv, "h.#.attn.c_attn"},
      {role::kAttentionOutput, "h.#.attn.c_proj"},
      {role::kFfnNorm, "h.#.ln_2"},
      {role::kUp, "h.#.mlp.c_fc"},
      {role::kDown, "h.#.mlp.c_proj"},
  };
  layout.prefixes = {"transformer.", ""};
  layout.ignored = {"h.#.attn.bias", "h.#.attn.masked_bias"};  // causal masks kept as buffers
  layout.transposed = true;
  return layout;
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  layout.modules.push_back({role::kQkv, "blk.#.attn_qkv"});
  return layout;
}

}  // namespace

Family gpt2_family() {
  return {"gpt2", {"gpt2", "gpt-sw3"}, {"gpt2"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
