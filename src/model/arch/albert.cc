// ALBERT: BERT whose layers share their weights, group by group, behind an embedding that is
// narrower than they are. Source: transformers models/albert.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// One layer for each group, which runs as often as the group has layers.
void share_layers(const Config& config, ModelSpec& spec) {
  const int n_layers = spec.n_layers();
  const int n_groups = config.int_or("num_hidden_groups", 1, 1, n_layers);
  if (config.int_or("inner_group_num", 1, 1, kMaxLayers) != 1)
    config.unsupported("inner_group_num", "groups of several layers (expected 1)");
  spec.layers.resize(static_cast<std::size_t>(n_groups));
  for (LayerSpec& layer : spec.layers) layer.n_times = 0;
  for (int i = 0; i < n_layers; ++i)
    ++spec.layers[static_cast<std::size_t>(std::int64_t{i} * n_groups / n_layers)].n_times;
}

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 30000;
  defaults.hidden_size = 4096;
  defaults.n_layers = 12;
  defaults.n_heads = 64;
  defaults.ffn_dim = 16384;
  defaults.max_positions = 512;
  defaults.ignores_head_dim = true;
  defaults.activation = "gelu_new";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  spec.embedding.n_positions = spec.max_positions;
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 2, 1, kMaxVocab);
  spec.embedding.width = hf::read_size(config, "embedding_size", 128, kMaxDim);
  spec.embedding.is_narrow = true;
  share_layers(config, spec);
  if (hf::is_classifier(config)) spec.pooled_head = hf::read_classifier(config, {});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kQ, "encoder.albert_layer_groups.#.albert_layers.0.attention.query"},
      {role::kK, "encoder.albert_layer_groups.#.albert_layers.0.attention.key"},
      {role::kV, "encoder.albert_layer_groups.#.albert_layers.0.attention.value"},
      {role::kAttentionOutput, "encoder.albert_layer_groups.#.albert_layers.0.attention.dense"},
      {role::kMixerPostNorm, "encoder.albert_layer_groups.#.albert_layers.0.attention.LayerNorm"},
      {role::kUp, "encoder.albert_layer_groups.#.albert_layers.0.ffn"},
      {role::kDown, "encoder.albert_layer_groups.#.albert_layers.0.ffn_output"},
      {role::kFfnPostNorm, "encoder.albert_layer_groups.#.albert_layers.0.full_layer_layer_norm"},
      {role::kEmbedding, "embeddings.word_embeddings"},
      {role::kEmbeddingNorm, "embeddings.LayerNorm"},
      {role::kPositions, "embeddings.position_embeddings"},
      {role::kTokenTypes, "embeddings.token_type_embeddings"},
      {role::kEmbeddingOutput, "encoder.embedding_hidden_mapping_in"},
      {role::kPooler, "pooler"},
      {role::kClassifier, "classifier", true},
  };
  layout.prefixes = {"albert.", ""};
  layout.ignored = {"embeddings.position_ids", "pooler.*", "predictions.*", "sop_classifier.*",
                    "classifier.*"};
  return layout;
}

}  // namespace

Family albert_family() { return {"albert", {"albert"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
