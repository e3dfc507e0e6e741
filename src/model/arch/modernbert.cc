// ModernBERT, and its decoder: an encoder with norms before attention and FFN, fused QKV and gated
// FFNs, RoPE, and a window to both sides on all but every third layer. The first layer's attention
// reads the embedding, which is normalised already. Source: transformers models/modernbert.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

void read_windows(const Config& config, ModelSpec& spec, int window) {
  const int period = config.int_or("global_attn_every_n_layers", 3, 1, kMaxLayers);
  std::vector<bool> is_windowed;
  for (int i = 0; i < spec.n_layers(); ++i) is_windowed.push_back(i % period != 0);
  hf::read_layer_types(config, spec, window, is_windowed);
}

void read_ropes(const Config& config, ModelSpec& spec) {
  if (const std::optional<Config> scaling = config.object("rope_scaling"); scaling)
    config.unsupported("rope_scaling", "only rope_parameters by layer type");
  const int head_dim = attention_of(spec, 0).head_dim;
  hf::require_even_head_dim(config, head_dim);
  RopeContext context;
  context.head_dim = head_dim;
  context.max_positions = spec.max_positions;
  const std::optional<Config> nested = config.object("rope_parameters");
  const auto rope_of = [&](std::string_view type, std::string_view key, double theta) {
    const std::optional<Config> own = nested ? nested->object(type) : std::nullopt;
    return hf::add_rope(spec,
                        read_rope(own ? &*own : nullptr, config.positive_or(key, theta), context));
  };
  const int full = rope_of("full_attention", "global_rope_theta", 160000.0);
  const int windowed = rope_of("sliding_attention", "local_rope_theta", 10000.0);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.rope = attention.window > 0 ? windowed : full;
  });
}

/// What the encoder and the decoder share.
ModelSpec read_layers(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 50368;
  defaults.hidden_size = 768;
  defaults.n_layers = 22;
  defaults.n_heads = 12;
  defaults.ffn_dim = 1152;
  defaults.max_positions = 8192;
  defaults.ignores_head_dim = true;
  defaults.tied = true;
  defaults.activation_key = "hidden_activation";
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_layer_norm(config, spec, "norm_eps", 1e-5);
  spec.norm.has_bias = config.bool_or("norm_bias", false);
  spec.embedding.has_norm = true;
  spec.layers.front().residual.bare_mixer = true;
  hf::read_attention_bias(config, spec);
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  return spec;
}

PooledHeadSpec read_head(const Config& config, const ModelSpec& spec) {
  const std::string pooling = config.string_or("classifier_pooling", "cls");
  if (pooling != "cls" && pooling != "mean")
    config.unsupported("classifier_pooling", "expected cls or mean, got ", pooling);
  PooledHeadSpec head = hf::read_classifier(
      config, {.pooling = pooling == "cls" ? RowPooling::kFirst : RowPooling::kMean});
  head.layers.front().has_bias = config.bool_or("classifier_bias", false);
  head.layers.front().activation = hf::read_activation(config, "classifier_activation", "gelu");
  head.layers.insert(head.layers.begin() + 1,
                     {role::kPooledNorm, 0, spec.norm.has_bias, spec.norm, {}});
  return head;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_layers(config);
  spec.head.reset();
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.sees_all = true; });
  // The file has the keys of both sides together; ours counts the own position too.
  read_windows(config, spec, config.int_or("local_attention", 128, 2, kMaxPositions) / 2 + 1);
  read_ropes(config, spec);
  if (hf::is_classifier(config)) spec.pooled_head = read_head(config, spec);
  return spec;
}

ModelSpec decoder_from_hf(const Config& config) {
  ModelSpec spec = read_layers(config);
  read_windows(config, spec, config.int_or("local_attention", 128, 2, kMaxPositions) / 2);
  read_ropes(config, spec);
  if (hf::is_classifier(config)) {
    spec.head.reset();
    spec.pooled_head = read_head(config, spec);
    spec.pooled_head->pooling = RowPooling::kLast;
    return spec;
  }
  spec.head->bias = config.bool_or("decoder_bias", true);
  spec.head->transform =
      HeadTransformSpec{hf::read_activation(config, "classifier_activation", "gelu"),
                        config.bool_or("classifier_bias", false)};
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embeddings.tok_embeddings"},
      {role::kEmbeddingNorm, "embeddings.norm"},
      {role::kQkv, "layers.#.attn.Wqkv"},
      {role::kAttentionOutput, "layers.#.attn.Wo"},
      {role::kMixerNorm, "layers.#.attn_norm"},
      {role::kFfnNorm, "layers.#.mlp_norm"},
      {role::kGateUp, "layers.#.mlp.Wi"},
      {role::kDown, "layers.#.mlp.Wo"},
      {role::kFinalNorm, "final_norm"},
      {role::kPooler, "head.dense", true},
      {role::kPooledNorm, "head.norm", true},
      {role::kClassifier, "classifier", true},
  };
  layout.prefixes = {"model.", ""};
  layout.ignored = {"head.*", "decoder.*", "classifier.*"};
  return layout;
}

ModuleLayout decoder_layout() {
  ModuleLayout layout = hf_layout();
  std::erase_if(layout.modules, [](const ModuleName& name) { return name.role == role::kQkv; });
  const std::vector<ModuleName> own = {
      {role::kQ, "layers.#.attn.q_proj"},      {role::kK, "layers.#.attn.k_proj"},
      {role::kV, "layers.#.attn.v_proj"},      {role::kHeadInput, "lm_head.dense", true},
      {role::kHeadNorm, "lm_head.norm", true}, {role::kHead, "decoder", true},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.copy("attention.sliding_window", "local_attention")
      .copy("attention.sliding_window_pattern", "global_attn_every_n_layers")
      .copy("rope.freq_base", "global_rope_theta")
      .copy("rope.freq_base_swa", "local_rope_theta")
      .copy("hidden_activation", "hidden_activation")
      .set("norm_bias", members.has_tensor("output_norm.bias"))
      .leave({"attention.causal"});
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  return gguf::layout_with(
      {{role::kEmbeddingNorm, "token_embd_norm"},
       {role::kQkv, "blk.#.attn_qkv"},
       {role::kGateUp, "blk.#.ffn_up"}},
      {role::kQ, role::kK, role::kV, role::kGate, role::kUp, role::kHead, role::kPositions});
}

}  // namespace

Family modernbert_family() {
  return {"modernbert", {"modernbert"}, {"modern-bert"}, from_hf,
          from_gguf,    hf_layout(),    gguf_layout()};
}
Family modernbert_decoder_family() {
  return {"modernbert-decoder",
          {"modernbert-decoder"},
          {},
          decoder_from_hf,
          nullptr,
          decoder_layout(),
          {}};
}

}  // namespace openllm::model
