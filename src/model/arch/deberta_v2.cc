// DeBERTa 1, 2 and 3, the encoder: BERT whose attention scores have parts for distances. The first
// one has a fused QKV and no buckets. Sources: transformers models/deberta, models/deberta_v2.

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// "c2p" and "p2c": a list, or words between bars.
std::string read_parts(const Config& config) {
  const base::Json* given = config.find("pos_att_type");
  if (given == nullptr) return {};
  if (const std::string* words = given->if_string()) return *words;
  std::string all;
  const auto list = config.strings("pos_att_type").value_or(std::vector<std::string>());
  for (const std::string& word : list) all += word + "|";
  return all;
}

/// Distances from the middle on by their logarithm, in f32 as transformers computes it.
int bucket_of(int distance, int n_buckets, int max_distance) {
  const int middle = n_buckets / 2;
  if (std::abs(distance) <= middle) return distance;
  const auto part = static_cast<float>(std::abs(distance)) / static_cast<float>(middle);
  const float whole = std::log(static_cast<float>(max_distance - 1) / static_cast<float>(middle));
  const float step = std::ceil(std::log(part) / whole * static_cast<float>(middle - 1));
  const auto bucket = static_cast<int>(step + static_cast<float>(middle));
  return distance < 0 ? -bucket : bucket;
}

void read_distances(const Config& config, int max_positions, DisentangledAttentionSpec& attention) {
  int reach = config.int_or("max_relative_positions", -1, -1, kMaxPositions);
  if (reach < 1) reach = max_positions;
  const int n_buckets = config.int_or("position_buckets", -1, -1, kMaxPositions);
  const int span = n_buckets > 0 ? n_buckets : reach;
  if (n_buckets > 0 && (n_buckets < 4 || reach - 1 <= n_buckets / 2)) {
    config.corrupt("position_buckets", "bad number (expected 4 to ", 2 * (reach - 2), ", got ",
                   n_buckets, ")");
  }
  attention.n_buckets = 2 * span;
  for (int d = 1 - max_positions; d < max_positions; ++d) {
    const int bucket = n_buckets > 0 ? bucket_of(d, n_buckets, reach) : d;
    attention.buckets.push_back(std::clamp(bucket + span, 0, 2 * span - 1));
  }
  attention.own_linears = !config.bool_or("share_att_key", false);
  attention.norms_rows =
      config.string_or("norm_rel_ebd", "none").find("layer_norm") != std::string::npos;
}

DisentangledAttentionSpec read_attention(const Config& config, const ModelSpec& spec) {
  const SelfAttentionSpec& heads = attention_of(spec, 0);
  DisentangledAttentionSpec attention;
  attention.n_heads = heads.n_heads;
  attention.head_dim = config.int_or("attention_head_size", heads.head_dim, 1, kMaxHeadDim);
  const std::string parts = read_parts(config);
  attention.has_keys = parts.find("c2p") != std::string::npos;
  attention.has_queries = parts.find("p2c") != std::string::npos;
  const int n_parts = 1 + (attention.has_keys ? 1 : 0) + (attention.has_queries ? 1 : 0);
  attention.scale = 1.0F / std::sqrt(static_cast<float>(attention.head_dim * n_parts));
  if (config.bool_or("relative_attention", false)) {
    read_distances(config, spec.max_positions, attention);
  } else {
    attention.has_keys = false;
    attention.has_queries = false;
    attention.buckets.assign(static_cast<std::size_t>(2 * spec.max_positions - 1), 0);
  }
  return attention;
}

/// The convolution beside the first layer of larger ones of v2.
std::optional<RowConvSpec> read_conv(const Config& config, int dim) {
  constexpr int kMaxTaps = 255;
  const int n_taps = config.int_or("conv_kernel_size", 0, 0, kMaxTaps);
  if (n_taps == 0) return std::nullopt;
  if (n_taps % 2 == 0) config.unsupported("conv_kernel_size", "only odd sizes (got ", n_taps, ")");
  const int n_groups = config.int_or("conv_groups", 1, 1, dim);
  if (dim % n_groups != 0) {
    config.corrupt("conv_groups", "does not divide hidden_size (expected a divisor of ", dim,
                   ", got ", n_groups, ")");
  }
  return RowConvSpec{n_taps, n_groups, hf::read_activation(config, "conv_act", "tanh")};
}

void refuse(const Config& config, const ModelSpec& spec) {
  for (const std::string_view key : {"embedding_size", "pooler_hidden_size"}) {
    const int width = config.int_or(key, spec.dim, 1, kMaxDim);
    if (width != spec.dim)
      config.unsupported(key, "another width than hidden_size (expected ", spec.dim, ", got ",
                         width, ")");
  }
}

/// `defaults`: of vocabulary and layers.
ModelSpec read_layers(const Config& config, hf::Defaults defaults) {
  defaults.max_positions = 512;
  defaults.ignores_head_dim = true;
  defaults.activation = "gelu";
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::use_bert_layers(config, spec, 1e-7);
  refuse(config, spec);
  if (config.bool_or("position_biased_input", true))
    spec.embedding.n_positions = spec.max_positions;
  spec.embedding.n_token_types = config.int_or("type_vocab_size", 0, 0, kMaxVocab);
  return spec;
}

void finish(const Config& config, const DisentangledAttentionSpec& attention, ModelSpec& spec) {
  for (LayerSpec& layer : spec.layers) layer.mixer = attention;
  if (!hf::is_classifier(config)) return;
  spec.pooled_head = hf::read_classifier(
      config, {.activation = hf::read_activation(config, "pooler_hidden_act", "gelu")});
}

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.vocab_size = 128100;
  defaults.hidden_size = 1536;
  defaults.n_layers = 24;
  defaults.n_heads = 24;
  defaults.ffn_dim = 6144;
  ModelSpec spec = read_layers(config, defaults);
  finish(config, read_attention(config, spec), spec);
  spec.layers.front().row_conv = read_conv(config, spec.dim);
  return spec;
}

ModelSpec v1_from_hf(const Config& config) {
  if (config.bool_or("talking_head", false))
    config.unsupported("talking_head", "heads that are mixed (expected false, got true)");
  hf::Defaults defaults;
  defaults.vocab_size = 50265;
  defaults.hidden_size = 768;
  defaults.n_layers = 12;
  defaults.n_heads = 12;
  defaults.ffn_dim = 3072;
  ModelSpec spec = read_layers(config, defaults);
  DisentangledAttentionSpec attention = read_attention(config, spec);
  if (config.has("position_buckets") || attention.norms_rows)
    config.unsupported("position_buckets", "not in the first generation of the family");
  attention.is_fused = true;
  attention.own_linears = true;
  finish(config, attention, spec);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = hf::bert_modules();
  for (ModuleName& name : layout.modules) {
    if (name.role == role::kQ) name.pattern = "encoder.layer.#.attention.self.query_proj";
    if (name.role == role::kK) name.pattern = "encoder.layer.#.attention.self.key_proj";
    if (name.role == role::kV) name.pattern = "encoder.layer.#.attention.self.value_proj";
  }
  const std::vector<ModuleName> own = {
      {role::kPositions, "embeddings.position_embeddings"},
      {role::kTokenTypes, "embeddings.token_type_embeddings"},
      {role::kDistanceRows, "encoder.rel_embeddings"},
      {role::kDistanceNorm, "encoder.LayerNorm"},
      {role::kDistanceKey, "encoder.layer.#.attention.self.pos_key_proj"},
      {role::kDistanceQuery, "encoder.layer.#.attention.self.pos_query_proj"},
      {role::kRowConv, "encoder.conv.conv"},
      {role::kRowConvNorm, "encoder.conv.LayerNorm"},
      {role::kPooler, "pooler.dense", true},
      {role::kClassifier, "classifier", true},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  layout.prefixes = {"deberta.", ""};
  // Heads of other tasks, and positions that are not added.
  layout.ignored = {"embeddings.position_ids",
                    "embeddings.position_embeddings.weight",
                    "pooler.*",
                    "cls.*",
                    "lm_predictions.*",
                    "mask_predictions.*",
                    "classifier.*",
                    "qa_outputs.*"};
  return layout;
}

ModuleLayout v1_layout() {
  ModuleLayout layout = hf_layout();
  std::erase_if(layout.modules, [](const ModuleName& name) {
    return name.role == role::kQ || name.role == role::kK || name.role == role::kV ||
           name.role == role::kDistanceKey || name.role == role::kDistanceQuery;
  });
  const std::vector<ModuleName> own = {
      {role::kQkv, "encoder.layer.#.attention.self.in_proj"},
      {role::kQBias, "encoder.layer.#.attention.self.q_bias"},
      {role::kVBias, "encoder.layer.#.attention.self.v_bias"},
      {role::kDistanceKey, "encoder.layer.#.attention.self.pos_proj"},
      {role::kDistanceQuery, "encoder.layer.#.attention.self.pos_q_proj"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  return layout;
}

}  // namespace

Family deberta_family() {
  return {"deberta", {"deberta"}, {}, v1_from_hf, nullptr, v1_layout(), {}};
}

Family deberta_v2_family() {
  return {"deberta-v2", {"deberta-v2"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
