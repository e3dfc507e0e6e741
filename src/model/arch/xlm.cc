// XLM and FlauBERT: BERT without token types, under names of their own; FlauBERT may have norms
// before attention and FFN, and `causal` makes decoders of both. Sources: transformers models/xlm,
// models/flaubert.

#include <string>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

void refuse(const Config& config) {
  if (config.bool_or("asm", false))
    config.unsupported("asm", "an adaptive softmax (expected false, got true)");
  if (!config.bool_or("is_encoder", true))
    config.unsupported("is_encoder", "only encoders and causal models (expected true, got false)");
}

PooledHeadSpec read_summary(const Config& config) {
  const std::string type = config.string_or("summary_type", "first");
  if (type != "first") config.unsupported("summary_type", "expected first, got ", type);
  if (!config.bool_or("summary_use_proj", true) || !config.bool_or("summary_proj_to_labels", true))
    config.unsupported("summary_use_proj", "a classifier without a linear to its classes");
  PooledHeadSpec head = hf::read_classifier(config, {.has_pooler = false});
  if (config.string_or("summary_activation", "") == "tanh")
    head.layers.back().activation = device::Activation::kTanh;
  return head;
}

ModelSpec from_hf(const Config& config) {
  refuse(config);
  hf::Defaults defaults;
  defaults.vocab_size = 30145;
  defaults.hidden_size = 2048;
  defaults.n_layers = 12;
  defaults.n_heads = 16;
  defaults.ffn_dim =
      4 * hf::read_size(config, config.first_of({"emb_dim", "hidden_size"}), 2048, kMaxFfnDim / 4);
  defaults.reads_ffn_dim = true;
  defaults.max_positions = 512;
  defaults.ignores_head_dim = true;
  defaults.activation_key = "";
  defaults.activation = config.bool_or("gelu_activation", true) ? "gelu" : "relu";
  defaults.names.hidden_size = "emb_dim";
  defaults.names.n_layers = "n_layers";
  defaults.names.n_heads = "n_heads";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  spec.embedding.n_positions = spec.max_positions;
  if (config.bool_or("pre_norm", false)) {
    hf::use_norms_before(spec);
    spec.embedding.has_norm = true;
    spec.has_final_norm = false;
  }
  if (config.bool_or("causal", false)) {
    spec.head.emplace();
    spec.head->tied = config.bool_or("tie_word_embeddings", true);
    spec.head->bias = true;
    each_attention(spec, [](SelfAttentionSpec& attention) { attention.sees_all = false; });
  }
  if (hf::is_classifier(config)) {
    spec.head.reset();
    spec.pooled_head = read_summary(config);
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embeddings"},
      {role::kPositions, "position_embeddings"},
      {role::kEmbeddingNorm, "layer_norm_emb"},
      {role::kQ, "attentions.#.q_lin"},
      {role::kK, "attentions.#.k_lin"},
      {role::kV, "attentions.#.v_lin"},
      {role::kAttentionOutput, "attentions.#.out_lin"},
      {role::kMixerPostNorm, "layer_norm1.#"},
      {role::kMixerNorm, "layer_norm1.#"},
      {role::kUp, "ffns.#.lin1"},
      {role::kDown, "ffns.#.lin2"},
      {role::kFfnPostNorm, "layer_norm2.#"},
      {role::kFfnNorm, "layer_norm2.#"},
      {role::kHead, "pred_layer.proj", true},
      {role::kClassifier, "sequence_summary.summary", true},
  };
  layout.prefixes = {"transformer.", ""};
  // Languages are for those who say which one each token is of.
  layout.ignored = {"position_ids", "lang_embeddings.weight", "pred_layer.*", "sequence_summary.*"};
  return layout;
}

}  // namespace

Family xlm_family() { return {"xlm", {"xlm", "flaubert"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
