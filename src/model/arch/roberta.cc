// RoBERTa, XLM-RoBERTa, CamemBERT, data2vec and LUKE without entities: BERT whose positions begin
// behind the padding's row, and with a head of its own for classifiers. Source: transformers
// models/roberta, models/xlm_roberta, models/camembert.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  const std::string position = config.string_or("position_embedding_type", "absolute");
  if (position != "absolute") {
    config.unsupported("position_embedding_type", "unknown kind (expected absolute, got ", position,
                       ")");
  }
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
  hf::begin_positions_behind_padding(config, spec,
                                     config.int_or("pad_token_id", 1, 0, kMaxPositions));
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 2, 1, kMaxVocab);
  hf::use_bert_head(spec, device::Activation::kGelu);
  if (hf::is_classifier(config)) spec.pooled_head = hf::read_classifier(config, {});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  // Names of transformers, or those of Jina's xlm-roberta-flash-implementation.
  layout.modules = {
      {role::kAttentionOutput, "encoder.layer.#.attention.output.dense"},
      {role::kAttentionOutput, "encoder.layers.#.mixer.out_proj"},
      {role::kQkv, "encoder.layers.#.mixer.Wqkv"},
      {role::kMixerPostNorm, "encoder.layers.#.norm1"},
      {role::kUp, "encoder.layers.#.mlp.fc1"},
      {role::kDown, "encoder.layers.#.mlp.fc2"},
      {role::kFfnPostNorm, "encoder.layers.#.norm2"},
      {role::kEmbeddingNorm, "emb_ln"},
  };
  const std::vector<ModuleName> bert = hf::bert_modules();
  layout.modules.insert(layout.modules.end(), bert.begin(), bert.end());
  layout.modules.push_back({role::kPositions, "embeddings.position_embeddings"});
  layout.modules.push_back({role::kTokenTypes, "embeddings.token_type_embeddings"});
  layout.modules.push_back({role::kPooler, "classifier.dense", true});
  layout.modules.push_back({role::kClassifier, "classifier.out_proj", true});
  hf::add_roberta_head(layout);
  layout.prefixes = {"roberta.", "data2vec_text.", "luke.", ""};
  layout.ignored = {"embeddings.position_ids",
                    "pooler.*",
                    "lm_head.*",
                    "classifier.*",
                    "entity_embeddings.*",
                    "entity_predictions.*",
                    "encoder.layer.#.attention.self.w2e_query.*",
                    "encoder.layer.#.attention.self.e2w_query.*",
                    "encoder.layer.#.attention.self.e2e_query.*"};
  return layout;
}

}  // namespace

Family roberta_family() {
  return {"roberta", {"roberta", "xlm-roberta", "camembert", "data2vec-text", "luke"},
          {},        from_hf,
          nullptr,   hf_layout(),
          {}};
}

}  // namespace openllm::model
