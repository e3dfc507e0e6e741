// RemBERT: BERT behind a narrower embedding, with a wider head of its own. Source: transformers
// models/rembert.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 250300;
  defaults.hidden_size = 1152;
  defaults.n_layers = 32;
  defaults.n_heads = 18;
  defaults.ffn_dim = 4608;
  defaults.max_positions = 512;
  defaults.ignores_head_dim = true;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  spec.embedding.n_positions = spec.max_positions;
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 2, 1, kMaxVocab);
  spec.embedding.width = hf::read_size(config, "input_embedding_size", 256, kMaxDim);
  spec.embedding.is_narrow = true;
  hf::use_bert_head(spec, hf::read_activation(config, "hidden_act", "gelu"));
  if (spec.head) {
    spec.head->tied = false;
    spec.head->width = hf::read_size(config, "output_embedding_size", 1664, kMaxDim);
  }
  if (hf::is_classifier(config)) spec.pooled_head = hf::read_classifier(config, {});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = hf::bert_modules();
  const std::vector<ModuleName> own = {
      {role::kPositions, "embeddings.position_embeddings"},
      {role::kTokenTypes, "embeddings.token_type_embeddings"},
      {role::kEmbeddingOutput, "encoder.embedding_hidden_mapping_in"},
      {role::kPooler, "pooler.dense"},
      {role::kClassifier, "classifier", true},
      {role::kHeadInput, "cls.predictions.dense", true},
      {role::kHeadNorm, "cls.predictions.LayerNorm", true},
      {role::kHead, "cls.predictions.decoder", true},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  layout.prefixes = {"rembert.", ""};
  layout.ignored = {"embeddings.position_ids", "pooler.*", "cls.*", "classifier.*"};
  return layout;
}

}  // namespace

Family rembert_family() { return {"rembert", {"rembert"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
