// BERT and ERNIE, encoders: learned positions, token types, LayerNorm behind every sum, full
// visibility. Its results are hidden states, or of a classifier the scores of its pooled first row.
// With `is_decoder` a causal language model.
// Source: transformers models/bert.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
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
  hf::use_bert_head(spec, hf::read_activation(config, "hidden_act", "gelu"));
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
  hf::add_bert_head(layout);
  layout.prefixes = {"bert.", "ernie.", ""};
  // The heads of pre-training and of classifiers.
  layout.ignored = {"embeddings.position_ids", "pooler.*", "cls.*", "classifier.*"};
  return layout;
}

/// RoBERTa, whose first positions the converter leaves out, and DistilBERT, which has no token
/// types, are written under this name too.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.leave({"attention.causal"});
  const tensor::TensorView* types = checkpoint.find("token_types.weight");
  if (types != nullptr) members.set("type_vocab_size", types->shape[0]);
  ModelSpec spec = members.read(from_hf);
  if (types == nullptr) spec.embedding.n_token_types = 0;
  return spec;
}

ModuleLayout gguf_layout() {
  return gguf::layout_with({{role::kEmbeddingNorm, "token_embd_norm"},
                            {role::kTokenTypes, "token_types"},
                            {role::kMixerPostNorm, "blk.#.attn_output_norm"},
                            {role::kFfnPostNorm, "blk.#.layer_output_norm"}},
                           {role::kMixerNorm, role::kFfnNorm, role::kGate, role::kFinalNorm,
                            role::kHead, role::kQNorm, role::kKNorm});
}

}  // namespace

Family bert_family() {
  return {"bert", {"bert", "ernie"}, {"bert"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
