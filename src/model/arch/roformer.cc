// RoFormer: BERT with RoPE that turns neighbours instead of positions, behind an embedding that may
// be narrower than the layers. Source: transformers models/roformer.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  if (config.bool_or("rotary_value", false))
    config.unsupported("rotary_value", "values that RoPE turns (expected false, got true)");
  hf::Defaults defaults;
  defaults.vocab_size = 50000;
  defaults.hidden_size = 768;
  defaults.n_layers = 12;
  defaults.n_heads = 12;
  defaults.ffn_dim = 3072;
  defaults.max_positions = 1536;
  defaults.ignores_head_dim = true;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 2, 1, kMaxVocab);
  const int width = config.int_or("embedding_size", spec.dim, 1, kMaxDim);
  if (width != spec.dim) {
    spec.embedding.width = width;
    spec.embedding.is_narrow = true;
  }
  RopeParameters rope;
  rope.style = device::RopeStyle::kInterleaved;
  hf::use_rope(config, spec, rope);
  const device::Activation activation = hf::read_activation(config, "hidden_act", "gelu");
  hf::use_bert_head(spec, activation);
  if (spec.head) spec.head->width = spec.embedding.width;
  if (hf::is_classifier(config))
    spec.pooled_head = hf::read_classifier(config, {.activation = activation});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = hf::bert_modules();
  layout.modules.push_back({role::kTokenTypes, "embeddings.token_type_embeddings"});
  layout.modules.push_back({role::kEmbeddingOutput, "embeddings_project"});
  layout.modules.push_back({role::kPooler, "classifier.dense", true});
  layout.modules.push_back({role::kClassifier, "classifier.out_proj", true});
  hf::add_bert_head(layout);
  layout.prefixes = {"roformer.", ""};
  layout.ignored = {"encoder.embed_positions.weight", "cls.*", "classifier.*"};
  return layout;
}

}  // namespace

Family roformer_family() {
  return {"roformer", {"roformer"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
