// MPNet: BERT with a bias of scores by distance in buckets, the table of which all layers share,
// without token types; positions begin in row 2. Source: transformers models/mpnet.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 30527;
  defaults.hidden_size = 768;
  defaults.n_layers = 12;
  defaults.n_heads = 12;
  defaults.ffn_dim = 3072;
  defaults.max_positions = 512;
  defaults.ignores_head_dim = true;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  constexpr int kPadding = 1;  // whatever pad_token_id is
  hf::begin_positions_behind_padding(config, spec, kPadding);
  // The code counts in 32 buckets up to a distance of 128, whatever the file says.
  constexpr int kBuckets = 32;
  if (config.int_or("relative_attention_num_buckets", kBuckets, 1, kMaxPositions) != kBuckets)
    config.unsupported("relative_attention_num_buckets", "only ", kBuckets);
  device::PositionBiasSpec bias;
  bias.kind = device::PositionBiasSpec::Kind::kBuckets;
  bias.n_heads = attention_of(spec, 0).n_heads;
  bias.n_buckets = kBuckets;
  bias.max_distance = 128;
  bias.bidirectional = true;
  spec.position_biases.push_back(bias);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.position_bias = 0; });
  if (hf::is_classifier(config)) spec.pooled_head = hf::read_classifier(config, {});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embeddings.word_embeddings"},
      {role::kPositions, "embeddings.position_embeddings"},
      {role::kEmbeddingNorm, "embeddings.LayerNorm"},
      {role::kQ, "encoder.layer.#.attention.attn.q"},
      {role::kK, "encoder.layer.#.attention.attn.k"},
      {role::kV, "encoder.layer.#.attention.attn.v"},
      {role::kAttentionOutput, "encoder.layer.#.attention.attn.o"},
      {role::kPositionBias, "encoder.relative_attention_bias"},
      {role::kMixerPostNorm, "encoder.layer.#.attention.LayerNorm"},
      {role::kUp, "encoder.layer.#.intermediate.dense"},
      {role::kDown, "encoder.layer.#.output.dense"},
      {role::kFfnPostNorm, "encoder.layer.#.output.LayerNorm"},
      {role::kPooler, "classifier.dense", true},
      {role::kClassifier, "classifier.out_proj", true},
  };
  layout.prefixes = {"mpnet.", ""};
  layout.ignored = {"embeddings.position_ids", "pooler.*", "lm_head.*", "classifier.*"};
  return layout;
}

}  // namespace

Family mpnet_family() { return {"mpnet", {"mpnet"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
