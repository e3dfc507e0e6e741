// GTE 1.5 and its like (gte-*-en-v1.5, gte-multilingual, snowflake-arctic-embed-m-v2.0): BERT with
// RoPE instead of positions, gated FFNs and biases in attention and behind the FFN. As first
// published the model type is "new". Source: transformers models/gte, its conversion_mapping.py,
// and the rotary embedding of the published modeling file for scaling of type "ntk".

#include <cmath>
#include <string>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// Settings of the published configuration, which knows other networks too.
void require_plain(const Config& config) {
  const std::string norm = config.string_or("layer_norm_type", "layer_norm");
  if (norm != "layer_norm")
    config.unsupported("layer_norm_type", "expected layer_norm, got ", norm);
  const std::string position = config.string_or("position_embedding_type", "rope");
  if (position != "rope" && config.has("layer_norm_type"))
    config.unsupported("position_embedding_type", "expected rope, got ", position);
  if (config.bool_or("logn_attention_scale", false))
    config.unsupported("logn_attention_scale", "scores that grow with the length");
}

/// Frequencies of a rope that is stretched for good: with s the factor and d the head's size,
/// (theta s)^(-2 i / d) s^(-2 / d), or with an exponent b theta^(-2 i / d) e^(-a (i + 1)^b) where
/// a = ln(s) / (d / 2)^b.
void stretch(const Config& scaling, double theta, device::RopeSpec& rope) {
  const double factor = scaling.positive_or("factor", 1.0);
  const double dims = rope.n_rotary;
  const std::optional<double> power = scaling.find_positive("mixed_b");
  for (std::size_t i = 0; i < rope.inv_freq.size(); ++i) {
    const double at = 2.0 * static_cast<double>(i) / dims;
    double frequency = 0.0;
    if (power) {
      const double a = std::log(factor) / std::pow(dims / 2.0, *power);
      const double part = a * std::pow(static_cast<double>(i + 1), *power);
      frequency = std::pow(theta, -at) * std::exp(-part);
    } else {
      frequency = std::pow(theta * factor, -at) * std::pow(factor, -2.0 / dims);
    }
    rope.inv_freq[i] = static_cast<float>(frequency);
  }
}

void read_rope(const Config& config, ModelSpec& spec) {
  constexpr double kTheta = 160000.0;
  const std::optional<Config> scaling = config.object("rope_scaling");
  const bool is_ntk =
      scaling && scaling->string_or(scaling->first_of({"rope_type", "type"}), "") == "ntk";
  if (!is_ntk) {
    hf::read_single_rope(config, spec, {.theta = kTheta});
    return;
  }
  RopeParameters plain;
  plain.theta = config.positive_or("rope_theta", kTheta);
  hf::use_rope(config, spec, plain);
  stretch(*scaling, plain.theta, spec.ropes.back());
}

ModelSpec from_hf(const Config& config) {
  require_plain(config);
  hf::Defaults defaults;
  defaults.vocab_size = 250048;
  defaults.hidden_size = 768;
  defaults.n_layers = 12;
  defaults.n_heads = 12;
  defaults.ffn_dim = 3072;
  defaults.max_positions = 8192;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-12);
  each_ffn(spec, [](DenseFfnSpec& ffn) {
    ffn.gated = true;
    ffn.bias = false;
    ffn.down_bias = true;
    ffn.up_before_gate = true;
  });
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 1, 0, kMaxVocab);
  read_rope(config, spec);
  if (hf::is_classifier(config)) spec.pooled_head = hf::read_classifier(config, {});
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embeddings.word_embeddings"},
      {role::kTokenTypes, "embeddings.token_type_embeddings"},
      {role::kEmbeddingNorm, "embeddings.LayerNorm"},
      {role::kDown, "layers.#.mlp.down_proj"},
      {role::kDown, "encoder.layer.#.mlp.down_proj"},
      {role::kQ, "layers.#.self_attn.q_proj"},
      {role::kK, "layers.#.self_attn.k_proj"},
      {role::kV, "layers.#.self_attn.v_proj"},
      {role::kQ, "encoder.layer.#.attention.q_proj"},
      {role::kK, "encoder.layer.#.attention.k_proj"},
      {role::kV, "encoder.layer.#.attention.v_proj"},
      {role::kQkv, "encoder.layer.#.attention.qkv_proj"},
      {role::kAttentionOutput, "layers.#.self_attn.o_proj"},
      {role::kAttentionOutput, "encoder.layer.#.attention.o_proj"},
      {role::kMixerPostNorm, "layers.#.post_attention_layernorm"},
      {role::kMixerPostNorm, "encoder.layer.#.attn_ln"},
      {role::kGate, "layers.#.mlp.gate_proj"},
      {role::kUp, "layers.#.mlp.up_proj"},
      {role::kGateUp, "encoder.layer.#.mlp.up_gate_proj"},
      {role::kFfnPostNorm, "layers.#.post_mlp_layernorm"},
      {role::kFfnPostNorm, "encoder.layer.#.mlp_ln"},
      {role::kPooler, "pooler.dense"},
      {role::kClassifier, "classifier", true},
  };
  layout.prefixes = {"new.", "gte.", ""};
  layout.ignored = {"pooler.*", "lm_head.*", "classifier.*", "embeddings.rotary_emb.inv_freq"};
  return layout;
}

}  // namespace

Family gte_family() { return {"gte", {"gte", "new"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
