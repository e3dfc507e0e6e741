// ELECTRA: BERT whose embedding may be narrower than its layers, and without a pooler. Source:
// transformers models/electra.

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
  defaults.vocab_size = 30522;
  defaults.hidden_size = 256;
  defaults.n_layers = 12;
  defaults.n_heads = 4;
  defaults.ffn_dim = 1024;
  defaults.max_positions = 512;
  defaults.ignores_head_dim = true;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  spec.embedding.n_positions = spec.max_positions;
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 2, 1, kMaxVocab);
  const int width = hf::read_size(config, "embedding_size", 128, kMaxDim);
  if (width != spec.dim) {
    spec.embedding.width = width;
    spec.embedding.is_narrow = true;
  }
  hf::use_bert_head(spec, device::Activation::kGelu);
  if (spec.head) spec.head->width = spec.embedding.width;
  if (hf::is_classifier(config))
    spec.pooled_head = hf::read_classifier(config, {.activation = device::Activation::kGelu});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = hf::bert_modules();
  layout.modules.push_back({role::kPositions, "embeddings.position_embeddings"});
  layout.modules.push_back({role::kTokenTypes, "embeddings.token_type_embeddings"});
  layout.modules.push_back({role::kEmbeddingOutput, "embeddings_project"});
  layout.modules.push_back({role::kPooler, "classifier.dense", true});
  layout.modules.push_back({role::kClassifier, "classifier.out_proj", true});
  layout.modules.push_back({role::kHeadInput, "generator_predictions.dense", true});
  layout.modules.push_back({role::kHeadNorm, "generator_predictions.LayerNorm", true});
  layout.modules.push_back({role::kHead, "generator_lm_head", true});
  layout.prefixes = {"electra.", ""};
  layout.ignored = {"embeddings.position_ids", "discriminator_predictions.*",
                    "generator_predictions.*", "generator_lm_head.*", "classifier.*"};
  return layout;
}

}  // namespace

Family electra_family() { return {"electra", {"electra"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
