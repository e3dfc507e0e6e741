// OpenELM: layers that differ in heads and in the width of their FFN, norms on Q and K. Source: the
// published modeling_openelm.py, llama.cpp's "openelm" architecture.

#include <algorithm>
#include <cmath>

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// A number for each layer, or one for all.
std::vector<double> read_each_layer(const Config& config, std::string_view key, int n_layers) {
  const base::Json* value = config.find(key);
  if (value == nullptr) config.corrupt(key, "missing (expected ", n_layers, " numbers)");
  std::vector<double> values;
  if (value->is_array()) {
    values = *config.numbers(key);
  } else {
    values.assign(static_cast<std::size_t>(n_layers), config.positive_or(key, 1.0));
  }
  if (values.size() != static_cast<std::size_t>(n_layers)) {
    config.corrupt(key, "wrong length (expected ", n_layers, ", got ", values.size(), ")");
  }
  for (const double number : values) {
    if (!(number > 0.0 && number <= static_cast<double>(kMaxHeads)))
      config.corrupt(key, "bad value (expected positive numbers, got ", number, ")");
  }
  return values;
}

/// The nearest multiple, but not more than a tenth below.
int to_multiple(double value, int divisor) {
  int result = static_cast<int>(value + divisor / 2.0) / divisor * divisor;
  result = std::max(result, divisor);
  return result < 0.9 * value ? result + divisor : result;
}

void read_layers(const Config& config, ModelSpec& spec) {
  const int n_layers = spec.n_layers();
  const int divisor = config.int_or("ffn_dim_divisor", 256, 1, kMaxFfnDim);
  const std::vector<double> queries = read_each_layer(config, "num_query_heads", n_layers);
  const std::vector<double> keys = read_each_layer(config, "num_kv_heads", n_layers);
  const std::vector<double> widths = read_each_layer(config, "ffn_multipliers", n_layers);
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    auto& attention = std::get<SelfAttentionSpec>(spec.layers[i].mixer);
    attention.n_heads = static_cast<int>(queries[i]);
    attention.n_kv_heads = static_cast<int>(keys[i]);
    if (attention.n_heads != queries[i] || attention.n_kv_heads != keys[i] ||
        attention.n_heads % attention.n_kv_heads != 0) {
      config.corrupt("num_kv_heads", "does not divide num_query_heads (expected a divisor of ",
                     queries[i], ", got ", keys[i], ")");
    }
    const double width = widths[i] * spec.dim;
    if (width > static_cast<double>(kMaxFfnDim))
      config.corrupt("ffn_multipliers", "bad value (expected a size, got ", widths[i], ")");
    std::get<DenseFfnSpec>(spec.layers[i].ffn).ffn_dim = to_multiple(width, divisor);
  }
}

ModelSpec from_hf(const Config& config) {
  if (const std::string norm = config.string_or("normalization_layer_name", "rms_norm");
      norm != "rms_norm") {
    config.unsupported("normalization_layer_name", "unknown norm (expected rms_norm, got ", norm,
                       ")");
  }
  ModelSpec spec = hf::read_llama_like(config, {.hidden_size = 2048,
                                                .n_layers = 12,
                                                .head_dim = 128,
                                                .ffn_dim = 1,
                                                .activation_key = "activation_fn_name",
                                                .activation = "swish",
                                                .names = {.hidden_size = "model_dim",
                                                          .n_layers = "num_transformer_layers",
                                                          .max_positions = "max_context_length"}});
  spec.norm.eps = 1e-6F;
  spec.head->tied = config.bool_or("share_input_output_layers", true);
  read_layers(config, spec);
  const bool gated = config.bool_or("ffn_with_glu", true);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.gated = gated; });
  if (config.bool_or("normalize_qk_projections", true)) {
    each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  }
  RopeParameters rope;
  rope.theta = config.positive_or("rope_freq_constant", 10000.0);
  hf::use_rope(config, spec, rope);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "token_embeddings"}, {role::kFinalNorm, "norm"},
      {role::kHead, "lm_head", true},         {role::kMixerNorm, "layers.#.attn_norm"},
      {role::kQkv, "layers.#.attn.qkv_proj"}, {role::kQNorm, "layers.#.attn.q_norm"},
      {role::kKNorm, "layers.#.attn.k_norm"}, {role::kAttentionOutput, "layers.#.attn.out_proj"},
      {role::kFfnNorm, "layers.#.ffn_norm"},  {role::kGateUp, "layers.#.ffn.proj_1"},
      {role::kUp, "layers.#.ffn.proj_1"},     {role::kDown, "layers.#.ffn.proj_2"},
  };
  layout.prefixes = {"transformer.", ""};
  return layout;
}

base::Json numbers_of(const std::vector<int>& sizes) {
  base::Json list = base::Json::array();
  for (const int size : sizes) list.push_back(size);
  return list;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.layers_differ();
  const int dim = config.require_int("embedding_length", 1, kMaxDim);
  base::Json multipliers = base::Json::array();
  for (const int width : members.each_layer("feed_forward_length", 1, kMaxFfnDim))
    multipliers.push_back(static_cast<double>(width) / dim);
  members.copy("embedding_length", "model_dim")
      .copy("context_length", "max_context_length")
      .copy("rope.freq_base", "rope_freq_constant")
      .set("num_transformer_layers", members.n_layers())
      .set("num_query_heads", numbers_of(members.each_layer("attention.head_count", 1, kMaxHeads)))
      .set("num_kv_heads", numbers_of(members.each_layer("attention.head_count_kv", 1, kMaxHeads)))
      .set("ffn_multipliers", multipliers)
      .set("ffn_dim_divisor", 1)
      .set("share_input_output_layers", !members.has_tensor("output.weight"))
      .set("normalize_qk_projections", members.some_layer_has("attn_q_norm.weight"))
      // Sizes of all layers that the file does not have.
      .set("num_attention_heads", 1)
      .set("num_key_value_heads", 1)
      .set("intermediate_size", 1);
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  return gguf::layout_with({{role::kQkv, "blk.#.attn_qkv"}}, {role::kQ, role::kK, role::kV});
}

}  // namespace

Family openelm_family() {
  return {"openelm", {"openelm"}, {"openelm"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
