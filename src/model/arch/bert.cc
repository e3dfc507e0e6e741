// BERT and ERNIE, encoders: learned positions, token types, LayerNorm behind every sum, full
// visibility. Its results are hidden states, or of a classifier the scores of its pooled first row.
// Source: transformers models/bert.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  if (config.bool_or("use_task_id", false))
    config.unsupported("use_task_id", "embeddings of tasks are not supported");
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
  hf::use_bert_layers(config, spec, 1e-12);
  spec.embedding.n_positions = spec.max_positions;
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 2, 1, kMaxVocab);
  if (hf::is_classifier(config)) spec.pooled_head = hf::read_classifier(config, {});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = hf::bert_modules();
  layout.modules.push_back({role::kPositions, "embeddings.position_embeddings"});
  layout.modules.push_back({role::kTokenTypes, "embeddings.token_type_embeddings"});
  layout.modules.push_back({role::kPooler, "pooler.dense"});
  layout.modules.push_back({role::kClassifier, "classifier", true});
  layout.prefixes = {"bert.", "ernie.", ""};
  // The heads of pre-training and of classifiers.
  layout.ignored = {"embeddings.position_ids", "pooler.*", "cls.*", "classifier.*"};
  return layout;
}

}  // namespace

Family bert_family() { return {"bert", {"bert", "ernie"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
