// ChatGLM 2 and 3, and GLM-4 as first published: what transformers calls GLM, with other names and
// more switches. Source: the published modeling_chatglm.py. GGUF files are those of GLM.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

void refuse_first_generation(const Config& config) {
  for (const std::string_view key : {"position_encoding_2d", "inner_hidden_size"}) {
    if (config.has(key)) {
      config.unsupported(key,
                         "ChatGLM-6B of the first generation is not supported (expected "
                         "ChatGLM 2, 3 or GLM-4)");
    }
  }
}

void refuse_variants(const Config& config) {
  if (config.int_or("quantization_bit", 0, 0, 64) != 0) {
    config.unsupported("quantization_bit",
                       "weights quantised by ChatGLM's own scheme are not "
                       "supported (expected 0)");
  }
  if (config.has("pre_seq_len"))
    config.unsupported("pre_seq_len", "trained prefixes are not supported");
  if (!config.bool_or("original_rope", true))
    config.unsupported("original_rope", "only the original RoPE is supported");
}

void read_norms(const Config& config, ModelSpec& spec) {
  spec.norm.kind =
      config.bool_or("rmsnorm", true) ? device::NormKind::kRms : device::NormKind::kLayer;
  spec.norm.eps = static_cast<float>(config.not_negative_or("layernorm_epsilon", 1e-5));
  spec.has_final_norm = config.bool_or("post_layer_norm", true);
  const bool residual_behind = config.bool_or("apply_residual_connection_post_layernorm", false);
  for (LayerSpec& layer : spec.layers) layer.residual.norm_stream = residual_behind;
}

void read_rope(const Config& config, ModelSpec& spec) {
  RopeParameters rope;
  rope.style = device::RopeStyle::kInterleaved;
  rope.head_dim = attention_of(spec, 0).head_dim;
  rope.n_rotary = rope.head_dim / 2;
  if (rope.n_rotary < 2 || rope.n_rotary % 2 != 0) {
    config.unsupported("kv_channels",
                       "RoPE turns pairs in half of each head (expected a multiple "
                       "of 4, got ",
                       rope.head_dim, ")");
  }
  rope.max_positions = spec.max_positions;
  const double ratio = config.positive_or("rope_ratio", 1.0);
  // ChatGLM2-6B-32K, whose file has no other mark, divides positions; all later ones stretch waves.
  const bool divides = config.string_or("_name_or_path", "").find("chatglm2") != std::string::npos;
  if (divides && ratio != 1.0) {
    rope.type = RopeParameters::Type::kLinear;
    rope.factor = ratio;
  } else {
    rope.theta = 10000.0 * ratio;
  }
  const int index = hf::add_rope(spec, rope);
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.rope = index; });
}

ModelSpec from_hf(const Config& config) {
  refuse_first_generation(config);
  refuse_variants(config);
  const bool multi_query = config.bool_or("multi_query_attention", false);
  const int head_dim = config.int_or("kv_channels", 128, 1, kMaxHeadDim);
  const bool has_channels = config.has("kv_channels") || !config.mentions("kv_channels");
  ModelSpec spec = hf::read_llama_like(
      config, {.n_layers = 28,
               .n_kv_heads = multi_query ? 1 : 0,
               .head_dim = has_channels ? head_dim : 0,
               .ignores_head_dim = true,
               .ffn_dim = 13696,
               .names = {.n_layers = "num_layers",
                         .n_kv_heads = multi_query ? "multi_query_group_num" : std::string_view(),
                         .ffn_dim = "ffn_hidden_size",
                         .max_positions = "seq_length"}});
  spec.vocab_size =
      hf::read_size(config, config.first_of({"padded_vocab_size", "vocab_size"}), 65024, kMaxVocab);
  const bool bias = config.bool_or("add_bias_linear", false);
  hf::set_attention_biases(spec, bias || config.bool_or("add_qkv_bias", false), bias);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = bias; });
  if (!multi_query) {
    each_attention(spec, [](SelfAttentionSpec& attention) {
      attention.n_kv_heads = attention.n_heads;
      attention.fused.n_groups = attention.n_heads;
    });
  }
  read_norms(config, spec);
  read_rope(config, spec);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embedding.word_embeddings"},
      {role::kFinalNorm, "encoder.final_layernorm"},
      {role::kHead, "output_layer", true},
      {role::kMixerNorm, "encoder.layers.#.input_layernorm"},
      {role::kQkv, "encoder.layers.#.self_attention.query_key_value"},
      {role::kAttentionOutput, "encoder.layers.#.self_attention.dense"},
      {role::kFfnNorm, "encoder.layers.#.post_attention_layernorm"},
      {role::kGateUp, "encoder.layers.#.mlp.dense_h_to_4h"},
      {role::kDown, "encoder.layers.#.mlp.dense_4h_to_h"},
  };
  layout.prefixes = {"transformer.", ""};
  layout.ignored = {"rotary_pos_emb.inv_freq", "vision.*"};
  return layout;
}

}  // namespace

Family chatglm_family() { return {"chatglm", {"chatglm"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
