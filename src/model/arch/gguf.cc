#include "model/arch/gguf.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace openllm::model::gguf {
namespace {

/// Sizes that may be one number or one per layer; layers must agree.
int read_layer_size(const Config& config, std::string_view key, int otherwise, std::int64_t max) {
  const base::Json* value = config.find(key);
  if (value == nullptr || !value->is_array()) {
    return otherwise > 0 ? config.int_or(key, otherwise, 1, max) : config.require_int(key, 1, max);
  }
  const std::vector<double> values = *config.numbers(key);
  if (values.empty()) config.corrupt(key, "empty array");
  for (const double other : values) {
    if (other != values[0]) config.unsupported(key, "layers of different sizes are not supported");
  }
  if (!(values[0] >= 1.0 && values[0] <= static_cast<double>(max)) ||
      std::floor(values[0]) != values[0]) {
    config.corrupt(key, "bad value (expected an integer from 1 to ", max, ", got ", values[0], ")");
  }
  return static_cast<int>(values[0]);
}

SelfAttentionSpec read_heads(const Config& config, int dim) {
  SelfAttentionSpec heads;
  heads.n_heads = read_layer_size(config, "attention.head_count", 0, kMaxHeads);
  heads.n_kv_heads = read_layer_size(config, "attention.head_count_kv", heads.n_heads, kMaxHeads);
  if (heads.n_heads % heads.n_kv_heads != 0) {
    config.corrupt("attention.head_count_kv", "does not divide attention.head_count (expected a ",
                   "divisor of ", heads.n_heads, ", got ", heads.n_kv_heads, ")");
  }
  const std::optional<int> key_length = config.find_int("attention.key_length", 1, kMaxHeadDim);
  if (!key_length && dim % heads.n_heads != 0) {
    config.corrupt("attention.head_count",
                   "does not divide embedding_length (expected a divisor of ", dim, ", got ",
                   heads.n_heads, ")");
  }
  heads.head_dim = key_length.value_or(dim / heads.n_heads);
  const int value_length = config.int_or("attention.value_length", heads.head_dim, 1, kMaxHeadDim);
  if (value_length != heads.head_dim) {
    config.unsupported("attention.value_length", "values of another size than keys (expected ",
                       heads.head_dim, ", got ", value_length, ")");
  }
  heads.scale = 1.0F / std::sqrt(static_cast<float>(heads.head_dim));
  return heads;
}

/// The size of heads that RoPE turns: those of the first layer that attends.
int rotated_dim(const ModelSpec& spec) {
  for (const LayerSpec& layer : spec.layers) {
    if (const auto* attention = std::get_if<SelfAttentionSpec>(&layer.mixer))
      return attention->head_dim;
    if (const auto* both = std::get_if<AttentionBesideMamba2Spec>(&layer.mixer))
      return both->attention.head_dim;
  }
  return 2;
}

int read_vocab(const Config& config, const format::Checkpoint& checkpoint) {
  const tensor::TensorView* table = checkpoint.find("token_embd.weight");
  if (table == nullptr) {
    base::fail_at(ErrorCode::kCorruptData, config.where(), "tensor token_embd.weight: missing");
  }
  if (table->shape.n_dims() != 2 || table->shape[0] < 1 || table->shape[0] > kMaxVocab) {
    base::fail_at(ErrorCode::kCorruptData, config.where(),
                  "tensor token_embd.weight: wrong shape (expected [vocabulary, dim], got ",
                  table->shape.to_string(), ")");
  }
  return static_cast<int>(table->shape[0]);
}

}  // namespace

ModelSpec read_common(const Config& config, const format::Checkpoint& checkpoint,
                      device::NormKind norm) {
  ModelSpec spec;
  spec.dim = config.require_int("embedding_length", 1, kMaxDim);
  const int n_layers = config.require_int("block_count", 1, kMaxLayers);
  DenseFfnSpec ffn;
  ffn.ffn_dim = read_layer_size(config, "feed_forward_length", 0, kMaxFfnDim);
  const SelfAttentionSpec attention = read_heads(config, spec.dim);
  if (!config.bool_or("attention.causal", true)) {
    config.unsupported("attention.causal", "only causal attention is supported");
  }
  spec.max_positions = config.int_or("context_length", 2048, 1, kMaxPositions);
  spec.vocab_size = read_vocab(config, checkpoint);
  spec.norm.kind = norm;
  const std::string_view eps_key = norm == device::NormKind::kRms
                                       ? "attention.layer_norm_rms_epsilon"
                                       : "attention.layer_norm_epsilon";
  spec.norm.eps = static_cast<float>(config.not_negative_or(eps_key, 1e-5));
  spec.head.emplace();
  spec.head->tied = !has_tensor(checkpoint, "output.weight");
  spec.layers.assign(static_cast<std::size_t>(n_layers), LayerSpec{attention, {}, ffn, {}});
  return spec;
}

void refuse_experts(const Config& config) {
  if (config.int_or("expert_count", 0, 0, kMaxExperts) != 0)
    config.unsupported("expert_count", "this architecture has no mixtures of experts");
}

void read_mixture(const Config& config, ModelSpec& spec) {
  const int n_experts = config.int_or("expert_count", 0, 0, kMaxExperts);
  if (n_experts == 0) return;
  MoeFfnSpec moe;
  moe.router.n_experts = n_experts;
  moe.router.top_k = config.require_int("expert_used_count", 1, n_experts);
  moe.expert = std::get<DenseFfnSpec>(spec.layers[0].ffn);
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
}

ModelSpec read_llama_like(const Config& config, const format::Checkpoint& checkpoint,
                          device::RopeStyle style) {
  ModelSpec spec = read_common(config, checkpoint, device::NormKind::kRms);
  read_single_rope(config, checkpoint, style, spec);
  read_biases(checkpoint, spec);
  read_attention_scale(config, spec);
  return spec;
}

void read_single_rope(const Config& config, const format::Checkpoint& checkpoint,
                      device::RopeStyle style, ModelSpec& spec) {
  const int index = add_rope(checkpoint, read_rope(config, spec, style), spec);
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.rope = index; });
}

RopeParameters read_rope(const Config& config, const ModelSpec& spec, device::RopeStyle style) {
  RopeParameters p;
  p.style = style;
  p.head_dim = rotated_dim(spec);
  p.max_positions = spec.max_positions;
  p.n_rotary = config.int_or("rope.dimension_count", p.head_dim, 2, kMaxHeadDim);
  if (p.n_rotary > p.head_dim || p.n_rotary % 2 != 0) {
    config.corrupt("rope.dimension_count", "bad value (expected an even number up to ", p.head_dim,
                   ", got ", p.n_rotary, ")");
  }
  p.theta = config.positive_or("rope.freq_base", 10000.0);
  // Older files have only the linear scale.
  p.factor = config.not_negative_or("rope.scaling.factor",
                                    config.not_negative_or("rope.scale_linear", 1.0));
  if (p.factor == 0.0) p.factor = 1.0;
  p.original_positions =
      config.int_or("rope.scaling.original_context_length", spec.max_positions, 1, kMaxPositions);
  const std::string type = config.string_or("rope.scaling.type", "linear");
  if (type == "linear") {
    p.type = p.factor == 1.0 ? RopeParameters::Type::kDefault : RopeParameters::Type::kLinear;
  } else if (type == "none") {
    p.type = RopeParameters::Type::kDefault;
  } else if (type == "yarn") {
    p.type = RopeParameters::Type::kYarn;
    p.beta_fast = config.positive_or("rope.scaling.yarn_beta_fast", 32.0);
    p.beta_slow = config.positive_or("rope.scaling.yarn_beta_slow", 1.0);
    // Converters write Hugging Face's attention_factor, which takes the place of the computed one.
    p.attention_factor = config.positive_or("rope.scaling.attn_factor", 1.0) *
                         config.positive_or("rope.scaling.yarn_attn_factor",
                                            p.factor <= 1.0 ? 1.0 : 1.0 + 0.1 * std::log(p.factor));
    if (p.theta <= 1.0)
      config.corrupt("rope.freq_base", "bad value (expected more than 1, got ", p.theta, ")");
  } else {
    config.unsupported("rope.scaling.type",
                       "unknown kind of RoPE scaling (expected none, linear or yarn; got ", type,
                       ")");
  }
  return p;
}

std::vector<float> read_factors(const format::Checkpoint& checkpoint, std::string_view name,
                                std::size_t n) {
  const tensor::TensorView* view = checkpoint.find(name);
  if (view == nullptr || view->dtype != tensor::DType::kF32 ||
      view->shape.n_elems() != static_cast<std::int64_t>(n) ||
      view->bytes.size() < n * sizeof(float)) {
    base::fail_at(ErrorCode::kCorruptData, checkpoint.path(), "tensor ", name,
                  ": missing, or wrong type or shape (expected F32 [", n, "], got ",
                  view == nullptr ? "none" : tensor::info(view->dtype).name, " ",
                  view == nullptr ? "" : view->shape.to_string(), ")");
  }
  std::vector<float> values(n);
  std::memcpy(values.data(), view->bytes.data(), n * sizeof(float));
  for (const float value : values) {
    if (!(value > 0.0F && std::isfinite(value))) {
      base::fail_at(ErrorCode::kCorruptData, checkpoint.path(), "tensor ", name,
                    ": bad value (expected positive numbers, got ", value, ")");
    }
  }
  return values;
}

int add_rope(const format::Checkpoint& checkpoint, const RopeParameters& parameters,
             ModelSpec& spec) {
  device::RopeSpec rope = make_rope(parameters);
  if (has_tensor(checkpoint, "rope_freqs.weight"))
    divide_frequencies(rope, read_factors(checkpoint, "rope_freqs.weight", rope.inv_freq.size()));
  spec.ropes.push_back(std::move(rope));
  return static_cast<int>(spec.ropes.size()) - 1;
}

bool has_tensor(const format::Checkpoint& checkpoint, std::string_view name) {
  return checkpoint.find(name) != nullptr;
}

void read_biases(const format::Checkpoint& checkpoint, ModelSpec& spec) {
  const bool bias =
      has_tensor(checkpoint, "blk.0.attn_q.bias") || has_tensor(checkpoint, "blk.0.attn_qkv.bias");
  const bool output_bias = has_tensor(checkpoint, "blk.0.attn_output.bias");
  const bool ffn_bias = has_tensor(checkpoint, "blk.0.ffn_down.bias");
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.bias = bias;
    attention.output_bias = output_bias;
  });
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
}

int read_window(const Config& config, int otherwise) {
  return config.int_or("attention.sliding_window", otherwise, 0, kMaxPositions);
}

std::vector<bool> read_windowed_layers(const Config& config, int n_layers, int otherwise) {
  constexpr std::string_view kKey = "attention.sliding_window_pattern";
  std::vector<bool> windowed;
  const base::Json* value = config.find(kKey);
  const base::JsonArray* listed = value == nullptr ? nullptr : value->if_array();
  if (listed != nullptr) {
    for (const base::Json& layer : *listed) {
      if (!layer.is_bool())
        config.corrupt(kKey, "wrong type (expected booleans, got ", layer.type_name(), ")");
      windowed.push_back(*layer.if_bool());
    }
    if (listed->size() != static_cast<std::size_t>(n_layers)) {
      config.corrupt(kKey, "wrong length (expected ", n_layers, ", got ", listed->size(), ")");
    }
    return windowed;
  }
  const int period = config.int_or(kKey, otherwise, 1, kMaxLayers);
  for (int i = 0; i < n_layers; ++i) windowed.push_back((i + 1) % period != 0);
  return windowed;
}

void read_attention_scale(const Config& config, ModelSpec& spec) {
  const std::optional<double> scale = config.find_positive("attention.scale");
  if (!scale) return;
  each_attention(
      spec, [&](SelfAttentionSpec& attention) { attention.scale = static_cast<float>(*scale); });
}

ModuleLayout layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "token_embd"},
      {role::kPositions, "position_embd"},
      {role::kFinalNorm, "output_norm"},
      {role::kHead, "output"},
      {role::kMixerNorm, "blk.#.attn_norm"},
      {role::kQ, "blk.#.attn_q"},
      {role::kK, "blk.#.attn_k"},
      {role::kV, "blk.#.attn_v"},
      {role::kQNorm, "blk.#.attn_q_norm"},
      {role::kKNorm, "blk.#.attn_k_norm"},
      {role::kAttentionOutput, "blk.#.attn_output"},
      {role::kMixerPostNorm, "blk.#.post_attention_norm"},
      {role::kFfnNorm, "blk.#.ffn_norm"},
      {role::kGate, "blk.#.ffn_gate"},
      {role::kUp, "blk.#.ffn_up"},
      {role::kDown, "blk.#.ffn_down"},
      {role::kFfnPostNorm, "blk.#.post_ffw_norm"},
  };
  layout.ignored = {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight",
                    "blk.#.attn_rot_embd", "blk.#.rope_freqs.weight"};
  return layout;
}

}  // namespace openllm::model::gguf
