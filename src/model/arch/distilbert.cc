// DistilBERT: BERT without token types, under names of its own. Source: transformers
// models/distilbert.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 30522;
  defaults.hidden_size = 768;
  defaults.n_layers = 6;
  defaults.n_heads = 12;
  defaults.ffn_dim = 3072;
  defaults.max_positions = 512;
  defaults.ignores_head_dim = true;
  defaults.activation_key = "activation";
  defaults.activation = "gelu";
  defaults.names.hidden_size = "dim";
  defaults.names.n_layers = "n_layers";
  defaults.names.n_heads = "n_heads";
  defaults.names.ffn_dim = "hidden_dim";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  spec.norm.eps = 1e-12F;  // whatever the file says
  spec.embedding.n_positions = spec.max_positions;
  if (hf::is_classifier(config))
    spec.pooled_head = hf::read_classifier(config, {.activation = device::Activation::kRelu});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embeddings.word_embeddings"},
      {role::kPositions, "embeddings.position_embeddings"},
      {role::kEmbeddingNorm, "embeddings.LayerNorm"},
      {role::kQ, "transformer.layer.#.attention.q_lin"},
      {role::kK, "transformer.layer.#.attention.k_lin"},
      {role::kV, "transformer.layer.#.attention.v_lin"},
      {role::kAttentionOutput, "transformer.layer.#.attention.out_lin"},
      {role::kMixerPostNorm, "transformer.layer.#.sa_layer_norm"},
      {role::kUp, "transformer.layer.#.ffn.lin1"},
      {role::kDown, "transformer.layer.#.ffn.lin2"},
      {role::kFfnPostNorm, "transformer.layer.#.output_layer_norm"},
      {role::kPooler, "pre_classifier", true},
      {role::kClassifier, "classifier", true},
  };
  layout.prefixes = {"distilbert.", ""};
  layout.ignored = {
      "embeddings.position_ids", "vocab_transform.*", "vocab_layer_norm.*", "vocab_projector.*",
      "pre_classifier.*",        "classifier.*",      "qa_outputs.*"};
  return layout;
}

}  // namespace

Family distilbert_family() {
  return {"distilbert", {"distilbert"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
