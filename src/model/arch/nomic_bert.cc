// Nomic BERT: BERT with RoPE, gated FFNs and no biases but those of norms; of the second version
// with biases, plain FFNs, and mixtures on every second layer. Its files have the names
// of transformers, or, as first published, names of their own and a configuration like GPT-2's.
// Source: transformers models/nomic_bert and its conversion_mapping.py.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// Settings of the older configuration, which knows other networks too.
void require_plain(const Config& config) {
  const auto require = [&](std::string_view key, bool otherwise, bool expected) {
    if (config.bool_or(key, otherwise) == expected) return;
    config.unsupported(key, "only ", expected ? "true" : "false");
  };
  require("prenorm", false, false);
  require("use_rms_norm", false, false);
  require("rotary_emb_interleaved", false, false);
  require("causal", false, false);
  require("parallel_block", false, false);
  const double fraction = config.not_negative_or("rotary_emb_fraction", 1.0);
  if (fraction != 1.0) config.unsupported("rotary_emb_fraction", "only 1 (got ", fraction, ")");
  if (config.has("rotary_emb_scale_base")) config.unsupported("rotary_emb_scale_base", "only null");
}

/// Of the older configuration: swiglu and geglu are gated, gelu is not.
bool has_gates(const Config& config) {
  return config.has("hidden_act") || config.string_or("activation_function", "swiglu") != "gelu";
}

/// A mixture on every n-th layer (nomic-embed-text-v2-moe). Source: the published modeling file.
void place_mixtures(const Config& config, ModelSpec& spec) {
  const int period = config.int_or("moe_every_n_layers", 0, 0, kMaxLayers);
  if (config.int_or("num_experts", 0, 0, kMaxExperts) == 0 || period < 2) return;
  if (config.int_or("num_shared_experts", 0, 0, kMaxExperts) > 0)
    config.unsupported("num_shared_experts", "only 0");
  MoeFfnSpec moe =
      hf::read_moe(config, spec, {.top_k_key = "moe_top_k", .top_k = 1, .ffn_dim_key = ""});
  if (moe.expert.gated) config.unsupported("num_experts", "experts with gates");
  moe.router.normalise = config.bool_or("moe_normalize_expert_weights", false);
  moe.output_bias = true;
  for (int i = 1; i < spec.n_layers(); i += period)
    spec.layers[static_cast<std::size_t>(i)].ffn = moe;
}

device::Activation read_activation(const Config& config) {
  const std::string older = config.string_or("activation_function", "swiglu");
  if (config.has("hidden_act")) return hf::read_activation(config, "hidden_act", "silu");
  if (older == "swiglu") return device::Activation::kSilu;
  if (older == "geglu" || older == "gelu") return device::Activation::kGelu;
  config.unsupported("activation_function", "unknown kind (expected swiglu, geglu or gelu, got ",
                     older, ")");
}

ModelSpec from_hf(const Config& config) {
  require_plain(config);
  hf::Defaults defaults;
  defaults.vocab_size = 30528;
  defaults.hidden_size = 768;
  defaults.n_layers = 12;
  defaults.n_heads = 12;
  defaults.ffn_dim = 3072;
  defaults.max_positions = 2048;
  defaults.names.hidden_size = "n_embd";
  defaults.names.n_layers = "n_layer";
  defaults.names.n_heads = "n_head";
  defaults.names.ffn_dim = "n_inner";
  defaults.names.max_positions = "n_positions";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  if (config.has("layer_norm_epsilon"))
    spec.norm.eps = static_cast<float>(config.not_negative_or("layer_norm_epsilon", 1e-12));
  const bool bias = config.bool_or("qkv_proj_bias", false);
  hf::set_attention_biases(spec, bias, bias);
  const device::Activation activation = read_activation(config);
  each_ffn(spec, [&](DenseFfnSpec& ffn) {
    ffn.gated = has_gates(config);
    ffn.bias = config.bool_or("mlp_fc1_bias", false);
    ffn.down_bias = config.bool_or("mlp_fc2_bias", false);
    ffn.activation = activation;
    if (ffn.bias && (ffn.gated || !ffn.down_bias))
      config.unsupported("mlp_fc1_bias", "only together with mlp_fc2_bias and without gates");
  });
  place_mixtures(config, spec);
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 2, 1, kMaxVocab);
  hf::read_single_rope(
      config, spec,
      {.theta = 1000.0, .theta_key = config.first_of({"rotary_emb_base", "rope_theta"})});
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
      {role::kAttentionOutput, "layers.#.self_attn.o_proj"},
      {role::kAttentionOutput, "encoder.layers.#.attn.out_proj"},
      {role::kDown, "layers.#.mlp.down_proj"},
      {role::kDown, "encoder.layers.#.mlp.fc2"},
      {role::kQ, "layers.#.self_attn.q_proj"},
      {role::kK, "layers.#.self_attn.k_proj"},
      {role::kV, "layers.#.self_attn.v_proj"},
      {role::kQkv, "encoder.layers.#.attn.Wqkv"},
      {role::kMixerPostNorm, "layers.#.post_attention_layernorm"},
      {role::kMixerPostNorm, "encoder.layers.#.norm1"},
      {role::kGate, "layers.#.mlp.gate_proj"},
      {role::kGate, "encoder.layers.#.mlp.fc12"},
      {role::kUp, "layers.#.mlp.up_proj"},
      {role::kUp, "encoder.layers.#.mlp.fc11"},
      {role::kUp, "encoder.layers.#.mlp.fc1"},
      {role::kRouter, "encoder.layers.#.mlp.router.layer"},
      {role::kExpertUp, "encoder.layers.#.mlp.experts.mlp.w1"},
      {role::kExpertDown, "encoder.layers.#.mlp.experts.mlp.w2"},
      {role::kMoeBias, "encoder.layers.#.mlp.experts.bias"},
      {role::kFfnPostNorm, "layers.#.post_mlp_layernorm"},
      {role::kFfnPostNorm, "encoder.layers.#.norm2"},
      {role::kPooler, "pooler.dense"},
      {role::kClassifier, "classifier", true},
  };
  layout.flat_experts = true;
  layout.transposed_flat = role::kExpertDown;
  layout.prefixes = {"nomic_bert.", "", "bert."};
  layout.ignored = {"pooler.*", "cls.*", "classifier.*"};
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.leave({"attention.causal"});
  const tensor::TensorView* types = checkpoint.find("token_types.weight");
  if (types != nullptr) members.set("type_vocab_size", types->shape[0]);
  return members.read(from_hf);
}

/// The second version. Converters leave out the bias behind the experts' sum.
ModelSpec from_moe_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.leave({"attention.causal"})
      .copy("moe_every_n_layers", "moe_every_n_layers")
      .copy("expert_used_count", "moe_top_k")
      .set("activation_function", "gelu")
      .set("qkv_proj_bias", members.some_layer_has("attn_qkv.bias"))
      .set("mlp_fc1_bias", members.some_layer_has("ffn_up.bias"))
      .set("mlp_fc2_bias", members.some_layer_has("ffn_down.bias"));
  const tensor::TensorView* types = checkpoint.find("token_types.weight");
  if (types != nullptr) members.set("type_vocab_size", types->shape[0]);
  ModelSpec spec = members.read(from_hf);
  if (types == nullptr) spec.embedding.n_token_types = 0;
  for (LayerSpec& layer : spec.layers) {
    if (auto* moe = std::get_if<MoeFfnSpec>(&layer.ffn)) moe->output_bias = false;
  }
  return spec;
}

ModuleLayout gguf_layout() {
  return gguf::layout_with(
      {{role::kEmbeddingNorm, "token_embd_norm"},
       {role::kTokenTypes, "token_types"},
       {role::kQkv, "blk.#.attn_qkv"},
       {role::kMixerPostNorm, "blk.#.attn_output_norm"},
       {role::kFfnPostNorm, "blk.#.layer_output_norm"}},
      {role::kQ, role::kK, role::kV, role::kQNorm, role::kKNorm, role::kMixerNorm, role::kFfnNorm,
       role::kFinalNorm, role::kHead, role::kPositions});
}

ModuleLayout gguf_moe_layout() {
  ModuleLayout layout = gguf_layout();
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family nomic_bert_family() {
  return {"nomic_bert", {"nomic_bert"}, {"nomic-bert"}, from_hf,
          from_gguf,    hf_layout(),    gguf_layout()};
}

Family nomic_bert_moe_family() {
  return {"nomic_bert_moe", {}, {"nomic-bert-moe"}, from_hf, from_moe_gguf, ModuleLayout{},
          gguf_moe_layout()};
}

}  // namespace openllm::model
