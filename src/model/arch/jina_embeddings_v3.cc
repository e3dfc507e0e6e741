// Jina embeddings 3: XLM-RoBERTa with RoPE instead of positions. Its files have the names of
// transformers or those that they were first published with. Source: transformers
// models/jina_embeddings_v3 and its conversion_mapping.py.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 250002;
  defaults.hidden_size = 1024;
  defaults.n_layers = 24;
  defaults.n_heads = 16;
  defaults.ffn_dim = 4096;
  defaults.max_positions = 8194;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-5);
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 1, 1, kMaxVocab);
  hf::read_single_rope(config, spec, {.theta = 20000.0});
  if (hf::is_classifier(config)) spec.pooled_head = hf::read_classifier(config, {});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embeddings.word_embeddings"},
      {role::kTokenTypes, "embeddings.token_type_embeddings"},
      {role::kEmbeddingNorm, "embeddings.LayerNorm"},
      {role::kEmbeddingNorm, "emb_ln"},
      {role::kDown, "layers.#.mlp.fc2"},
      {role::kDown, "encoder.layers.#.mlp.fc2"},
      {role::kUp, "layers.#.mlp.fc1"},
      {role::kUp, "encoder.layers.#.mlp.fc1"},
      {role::kQ, "layers.#.self_attn.q_proj"},
      {role::kK, "layers.#.self_attn.k_proj"},
      {role::kV, "layers.#.self_attn.v_proj"},
      {role::kQkv, "encoder.layers.#.mixer.Wqkv"},
      {role::kAttentionOutput, "layers.#.self_attn.o_proj"},
      {role::kAttentionOutput, "encoder.layers.#.mixer.out_proj"},
      {role::kMixerPostNorm, "layers.#.post_attention_layernorm"},
      {role::kMixerPostNorm, "encoder.layers.#.norm1"},
      {role::kFfnPostNorm, "layers.#.post_mlp_layernorm"},
      {role::kFfnPostNorm, "encoder.layers.#.norm2"},
      {role::kPooler, "classifier.dense", true},
      {role::kClassifier, "classifier.out_proj", true},
  };
  layout.prefixes = {"roberta.", ""};
  layout.ignored = {"pooler.*", "lm_head.*", "classifier.*"};
  return layout;
}

}  // namespace

Family jina_embeddings_v3_family() {
  return {"jina_embeddings_v3", {"jina_embeddings_v3"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
