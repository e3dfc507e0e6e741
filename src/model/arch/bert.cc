// BERT, the encoder: learned positions, token types, LayerNorm behind every sum, full visibility.
// Its results are hidden states. Source: transformers models/bert.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  if (config.bool_or("is_decoder", false) || config.bool_or("add_cross_attention", false)) {
    config.unsupported("is_decoder", "only the encoder is supported");
  }
  const std::string position = config.string_or("position_embedding_type", "absolute");
  if (position != "absolute") {
    config.unsupported("position_embedding_type", "unknown kind (expected absolute, got ", position,
                       ")");
  }
  hf::Defaults defaults;
  defaults.vocab_size = 30522;
  defaults.hidden_size = 768;
  defaults.n_layers = 12;
  defaults.n_heads = 12;
  defaults.ffn_dim = 3072;
  defaults.max_positions = 512;
  defaults.ignores_head_dim = true;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  spec.head.reset();
  spec.norm.kind = device::NormKind::kLayer;
  spec.norm.eps = static_cast<float>(config.not_negative_or("layer_norm_eps", 1e-12));
  spec.embedding.n_positions = spec.max_positions;
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 2, 1, kMaxVocab);
  spec.embedding.has_norm = true;
  spec.has_final_norm = false;
  each_attention(spec, [](SelfAttentionSpec& attention) {
    attention.sees_all = true;
    attention.bias = true;
    attention.output_bias = true;
  });
  each_ffn(spec, [](DenseFfnSpec& ffn) {
    ffn.gated = false;
    ffn.bias = true;
  });
  for (LayerSpec& layer : spec.layers) {
    layer.residual.norm_before = false;
    layer.residual.norm_sum = true;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embeddings.word_embeddings"},
      {role::kPositions, "embeddings.position_embeddings"},
      {role::kTokenTypes, "embeddings.token_type_embeddings"},
      {role::kEmbeddingNorm, "embeddings.LayerNorm"},
      {role::kQ, "encoder.layer.#.attention.self.query"},
      {role::kK, "encoder.layer.#.attention.self.key"},
      {role::kV, "encoder.layer.#.attention.self.value"},
      {role::kAttentionOutput, "encoder.layer.#.attention.output.dense"},
      {role::kMixerPostNorm, "encoder.layer.#.attention.output.LayerNorm"},
      {role::kUp, "encoder.layer.#.intermediate.dense"},
      {role::kDown, "encoder.layer.#.output.dense"},
      {role::kFfnPostNorm, "encoder.layer.#.output.LayerNorm"},
  };
  layout.prefixes = {"bert.", ""};
  // The heads of pre-training and of classifiers.
  layout.ignored = {"embeddings.position_ids", "pooler.*", "cls.*", "classifier.*"};
  return layout;
}

}  // namespace

Family bert_family() { return {"bert", {"bert"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
