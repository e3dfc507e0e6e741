// XLM-RoBERTa-XL: RoBERTa with norms before attention and FFN and behind the last layer, and none
// behind the embedding. Source: transformers models/xlm_roberta_xl.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 250880;
  defaults.hidden_size = 2560;
  defaults.n_layers = 36;
  defaults.n_heads = 32;
  defaults.ffn_dim = 10240;
  defaults.max_positions = 514;
  defaults.ignores_head_dim = true;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-5);
  hf::use_norms_before(spec);
  hf::begin_positions_behind_padding(config, spec,
                                     config.int_or("pad_token_id", 1, 0, kMaxPositions));
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 1, 1, kMaxVocab);
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
      {role::kMixerNorm, "encoder.layer.#.attention.self_attn_layer_norm"},
      {role::kQ, "encoder.layer.#.attention.self.query"},
      {role::kK, "encoder.layer.#.attention.self.key"},
      {role::kV, "encoder.layer.#.attention.self.value"},
      {role::kAttentionOutput, "encoder.layer.#.attention.output.dense"},
      {role::kFfnNorm, "encoder.layer.#.LayerNorm"},
      {role::kUp, "encoder.layer.#.intermediate.dense"},
      {role::kDown, "encoder.layer.#.output.dense"},
      {role::kFinalNorm, "encoder.LayerNorm"},
      {role::kPooler, "classifier.dense", true},
      {role::kClassifier, "classifier.out_proj", true},
  };
  hf::add_roberta_head(layout);
  layout.prefixes = {"roberta.", ""};
  layout.ignored = {"embeddings.position_ids", "pooler.*", "lm_head.*", "classifier.*"};
  return layout;
}

}  // namespace

Family xlm_roberta_xl_family() {
  return {"xlm-roberta-xl", {"xlm-roberta-xl"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
