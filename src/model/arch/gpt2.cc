// GPT-2: learned positions, LayerNorm, one fused QKV, a plain FFN, biases everywhere. Hugging Face
// stores its linear weights transposed (Conv1D); GGUF does not. Sources: transformers models/gpt2,
// llama.cpp's "gpt2" architecture.

#include <cmath>

#include "model/arch/gguf.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

void set_blocks(DecoderSpec& spec) {
  spec.position = Position::kLearned;
  spec.ffn = Ffn::kPlain;
  spec.attention_bias = true;
  spec.attention_output_bias = true;
  spec.ffn_bias = true;
}

DecoderSpec from_hf(const Config& config) {
  hf::refuse_unsupported(config);
  if (config.bool_or("add_cross_attention", false)) {
    config.unsupported("add_cross_attention", "cross attention is not supported");
  }
  DecoderSpec spec;
  // The general names win over GPT-2's own ones (as transformers).
  const std::string_view heads_key = config.first_of({"num_attention_heads", "n_head"});
  spec.vocab_size = hf::read_size(config, "vocab_size", 50257, kMaxVocab);
  spec.dim = hf::read_size(config, config.first_of({"hidden_size", "n_embd"}), 768, kMaxDim);
  spec.n_layers =
      hf::read_size(config, config.first_of({"num_hidden_layers", "n_layer"}), 12, kMaxLayers);
  spec.n_heads = hf::read_size(config, heads_key, 12, kMaxHeads);
  spec.n_kv_heads = spec.n_heads;
  if (spec.dim % spec.n_heads != 0) {
    config.corrupt(heads_key, "does not divide the hidden size (expected a divisor of ", spec.dim,
                   ", got ", spec.n_heads, ")");
  }
  spec.head_dim = spec.dim / spec.n_heads;
  spec.ffn_dim = config.int_or("n_inner", std::int64_t{4} * spec.dim, 1, kMaxFfnDim);
  spec.max_positions = config.int_or(config.first_of({"max_position_embeddings", "n_positions"}),
                                     1024, 1, kMaxPositions);
  spec.norm.kind = device::NormKind::kLayer;
  spec.norm.eps = static_cast<float>(config.not_negative_or("layer_norm_epsilon", 1e-5));
  spec.activation = hf::read_activation(config, "activation_function", "gelu_new");
  spec.tied_embeddings = config.bool_or("tie_word_embeddings", true);
  set_blocks(spec);
  spec.attention_scale = config.bool_or("scale_attn_weights", true)
                             ? 1.0F / std::sqrt(static_cast<float>(spec.head_dim))
                             : 1.0F;
  spec.layers.assign(static_cast<std::size_t>(spec.n_layers), LayerSpec{});
  if (config.bool_or("scale_attn_by_inverse_layer_idx", false)) {
    float index = 0.0F;
    for (LayerSpec& layer : spec.layers) {
      index += 1.0F;
      layer.attention_scale = spec.attention_scale / index;
    }
  }
  return spec;
}

DecoderSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  DecoderSpec spec = gguf::read_common(config, checkpoint, device::NormKind::kLayer);
  spec.activation = device::Activation::kGeluTanh;
  set_blocks(spec);
  return spec;
}

TensorLayout hf_layout() {
  TensorLayout layout;
  layout.names = {
      {Slot::kEmbedding, "wte.weight"},
      {Slot::kPositions, "wpe.weight"},
      {Slot::kFinalNorm, "ln_f.weight"},
      {Slot::kFinalNormBias, "ln_f.bias"},
      {Slot::kOutput, "lm_head.weight"},
      {Slot::kAttentionNorm, "h.#.ln_1.weight"},
      {Slot::kAttentionNormBias, "h.#.ln_1.bias"},
      {Slot::kQkv, "h.#.attn.c_attn.weight"},
      {Slot::kQkvBias, "h.#.attn.c_attn.bias"},
      {Slot::kAttentionOutput, "h.#.attn.c_proj.weight"},
      {Slot::kAttentionOutputBias, "h.#.attn.c_proj.bias"},
      {Slot::kFfnNorm, "h.#.ln_2.weight"},
      {Slot::kFfnNormBias, "h.#.ln_2.bias"},
      {Slot::kUp, "h.#.mlp.c_fc.weight"},
      {Slot::kUpBias, "h.#.mlp.c_fc.bias"},
      {Slot::kDown, "h.#.mlp.c_proj.weight"},
      {Slot::kDownBias, "h.#.mlp.c_proj.bias"},
  };
  layout.prefixes = {"transformer.", ""};
  layout.ignored = {"h.#.attn.bias", "h.#.attn.masked_bias"};  // causal masks kept as buffers
  layout.transposed = true;
  return layout;
}

TensorLayout gguf_layout() {
  TensorLayout layout = gguf::layout();
  layout.names.push_back({Slot::kQkv, "blk.#.attn_qkv.weight"});
  layout.names.push_back({Slot::kQkvBias, "blk.#.attn_qkv.bias"});
  return layout;
}

}  // namespace

Family gpt2_family() {
  return {"gpt2", {"gpt2"}, {"gpt2"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
