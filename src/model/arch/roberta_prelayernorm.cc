// RoBERTa-PreLayerNorm: RoBERTa with norms before attention and FFN and behind the last layer.
// Source: transformers models/roberta_prelayernorm.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 50265;
  defaults.hidden_size = 768;
  defaults.n_layers = 12;
  defaults.n_heads = 12;
  defaults.ffn_dim = 3072;
  defaults.max_positions = 512;
  defaults.ignores_head_dim = true;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  hf::use_norms_before(spec);
  spec.embedding.has_norm = true;
  hf::begin_positions_behind_padding(config, spec,
                                     config.int_or("pad_token_id", 1, 0, kMaxPositions));
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 2, 1, kMaxVocab);
  hf::use_bert_head(spec, device::Activation::kGelu);
  if (hf::is_classifier(config)) spec.pooled_head = hf::read_classifier(config, {});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embeddings.word_embeddings"},
      {role::kPositions, "embeddings.position_embeddings"},
      {role::kTokenTypes, "embeddings.token_type_embeddings"},
      {role::kEmbeddingNorm, "embeddings.LayerNorm"},
      {role::kMixerNorm, "encoder.layer.#.attention.LayerNorm"},
      {role::kQ, "encoder.layer.#.attention.self.query"},
      {role::kK, "encoder.layer.#.attention.self.key"},
      {role::kV, "encoder.layer.#.attention.self.value"},
      {role::kAttentionOutput, "encoder.layer.#.attention.output.dense"},
      {role::kFfnNorm, "encoder.layer.#.intermediate.LayerNorm"},
      {role::kUp, "encoder.layer.#.intermediate.dense"},
      {role::kDown, "encoder.layer.#.output.dense"},
      {role::kFinalNorm, "LayerNorm"},
      {role::kPooler, "classifier.dense", true},
      {role::kClassifier, "classifier.out_proj", true},
  };
  hf::add_roberta_head(layout);
  layout.prefixes = {"roberta_prelayernorm.", ""};
  layout.ignored = {"embeddings.position_ids", "pooler.*", "lm_head.*", "classifier.*"};
  return layout;
}

}  // namespace

Family roberta_prelayernorm_family() {
  return {"roberta-prelayernorm", {"roberta-prelayernorm"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
