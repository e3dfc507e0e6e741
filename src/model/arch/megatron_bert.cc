// Megatron-BERT: BERT with norms before attention and FFN and behind the last layer, and none
// behind the embedding. Source: transformers models/megatron_bert.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 29056;
  defaults.hidden_size = 1024;
  defaults.n_layers = 24;
  defaults.n_heads = 16;
  defaults.ffn_dim = 4096;
  defaults.max_positions = 512;
  defaults.ignores_head_dim = true;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  hf::use_norms_before(spec);
  spec.embedding.n_positions = spec.max_positions;
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 2, 1, kMaxVocab);
  hf::use_bert_head(spec, hf::read_activation(config, "hidden_act", "gelu"));
  if (hf::is_classifier(config)) spec.pooled_head = hf::read_classifier(config, {});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embeddings.word_embeddings"},
      {role::kPositions, "embeddings.position_embeddings"},
      {role::kTokenTypes, "embeddings.token_type_embeddings"},
      {role::kMixerNorm, "encoder.layer.#.attention.ln"},
      {role::kQ, "encoder.layer.#.attention.self.query"},
      {role::kK, "encoder.layer.#.attention.self.key"},
      {role::kV, "encoder.layer.#.attention.self.value"},
      {role::kAttentionOutput, "encoder.layer.#.attention.output.dense"},
      {role::kFfnNorm, "encoder.layer.#.ln"},
      {role::kUp, "encoder.layer.#.intermediate.dense"},
      {role::kDown, "encoder.layer.#.output.dense"},
      {role::kFinalNorm, "encoder.ln"},
      {role::kPooler, "pooler.dense"},
      {role::kClassifier, "classifier", true},
  };
  hf::add_bert_head(layout);
  layout.prefixes = {"bert.", ""};
  layout.ignored = {"embeddings.position_ids", "pooler.*", "cls.*", "classifier.*"};
  return layout;
}

}  // namespace

Family megatron_bert_family() {
  return {"megatron-bert", {"megatron-bert"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
