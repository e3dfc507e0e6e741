// BERT, ERNIE, Splinter and the encoders of DPR: learned positions, token types, LayerNorm behind
// every sum, full visibility. Its results are hidden states, or of a classifier the scores of its
// pooled first row. With `is_decoder` a causal language model. Sources: transformers models/bert,
// llama.cpp's "bert" and "jina-bert-v2" architectures.

#include <optional>
#include <string>

#include "model/arch/alibi.h"
#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// Jina's encoders for code and some languages normalise Q and K, and the sum behind attention once
/// more. Nothing says so but the name of their modeling file.
bool has_more_norms(const Config& config) {
  const std::optional<Config> files = config.object("auto_map");
  if (!files) return false;
  for (const auto& [key, value] : files->members()) {
    const std::string* const file = value.if_string();
    if (file != nullptr && file->find("qk-post-norm") != std::string::npos) return true;
  }
  return false;
}

/// Jina's encoders of the second generation: ALiBi to both sides and gated FFNs. Source: the
/// published jina-bert-implementation and jina-bert-v2-qk-post-norm.
void use_jina_layers(const Config& config, ModelSpec& spec) {
  const std::string kind = config.string_or("feed_forward_type", "original");
  if (kind != "geglu" && kind != "reglu")
    config.unsupported("feed_forward_type", "expected geglu or reglu, got ", kind);
  const bool more_norms = has_more_norms(config);
  device::PositionBiasSpec bias = alibi(attention_of(spec, 0).n_heads);
  bias.by_distance = true;
  spec.position_biases.push_back(bias);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.position_bias = 0;
    if (more_norms) attention.qk_norm = QkNorm::kWholeRow;
  });
  each_ffn(spec, [&](DenseFfnSpec& ffn) {
    ffn.gated = true;
    ffn.bias = false;
    ffn.down_bias = true;
    ffn.up_before_gate = more_norms;
    ffn.activation = kind == "geglu" ? device::Activation::kGelu : device::Activation::kRelu;
  });
  for (LayerSpec& layer : spec.layers) layer.residual.mixer_sum_twice = more_norms;
}

ModelSpec from_hf(const Config& config) {
  if (config.bool_or("use_task_id", false))
    config.unsupported("use_task_id", "embeddings of tasks are not supported");
  if (config.int_or("projection_dim", 0, 0, kMaxDim) > 0)
    config.unsupported("projection_dim", "a linear behind the first row (expected 0)");
  const std::string position = config.string_or("position_embedding_type", "absolute");
  if (position != "absolute" && position != "alibi") {
    config.unsupported("position_embedding_type", "unknown kind (expected absolute or alibi, got ",
                       position, ")");
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
  if (position == "alibi") {
    use_jina_layers(config, spec);
  } else {
    spec.embedding.n_positions = spec.max_positions;
  }
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
  const std::vector<ModuleName> jina = {
      {role::kGateUp, "encoder.layer.#.mlp.gated_layers"},
      {role::kGateUp, "encoder.layer.#.mlp.up_gated_layer"},
      {role::kDown, "encoder.layer.#.mlp.wo"},
      {role::kDown, "encoder.layer.#.mlp.down_layer"},
      {role::kFfnPostNorm, "encoder.layer.#.mlp.layernorm"},
      {role::kFfnPostNorm, "encoder.layer.#.layer_norm_2"},
      {role::kMixerSumNorm, "encoder.layer.#.layer_norm_1"},
      {role::kQNorm, "encoder.layer.#.attention.self.layer_norm_q"},
      {role::kKNorm, "encoder.layer.#.attention.self.layer_norm_k"},
  };
  layout.modules.insert(layout.modules.end(), jina.begin(), jina.end());
  hf::add_bert_head(layout);
  layout.prefixes = {"bert.",
                     "ernie.",
                     "splinter.",
                     "question_encoder.bert_model.",
                     "ctx_encoder.bert_model.",
                     "bert_model.",
                     ""};
  // The heads of pre-training and of classifiers.
  layout.ignored = {"embeddings.position_ids", "pooler.*", "cls.*", "classifier.*",
                    "splinter_qass.*"};
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

ModelSpec from_jina_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  const tensor::TensorView* types = checkpoint.find("token_types.weight");
  if (types != nullptr) members.set("type_vocab_size", types->shape[0]);
  members.set("position_embedding_type", "alibi").set("feed_forward_type", "geglu");
  if (members.some_layer_has("attn_q_norm.weight")) {
    base::Json files = base::Json::object();
    files["AutoModel"] = "qk-post-norm";
    members.set("auto_map", files);
  }
  return members.leave({"attention.causal"}).read(from_hf);
}

/// ffn_up has both halves. Files whose gate is by itself are refused for that tensor.
ModuleLayout jina_gguf_layout() {
  return gguf::layout_with({{role::kEmbeddingNorm, "token_embd_norm"},
                            {role::kTokenTypes, "token_types"},
                            {role::kGateUp, "blk.#.ffn_up"},
                            {role::kMixerSumNorm, "blk.#.attn_norm_2"},
                            {role::kMixerPostNorm, "blk.#.attn_output_norm"},
                            {role::kFfnPostNorm, "blk.#.layer_output_norm"}},
                           {role::kMixerNorm, role::kFfnNorm, role::kGate, role::kUp,
                            role::kFinalNorm, role::kHead, role::kPositions});
}

}  // namespace

Family bert_family() {
  return {
      "bert",       {"bert", "ernie", "splinter", "dpr"}, {"bert"}, from_hf, from_gguf, hf_layout(),
      gguf_layout()};
}

Family jina_bert_family() {
  return {"jina_bert",       {}, {"jina-bert-v2"}, from_hf, from_jina_gguf, ModuleLayout{},
          jina_gguf_layout()};
}

}  // namespace openllm::model
