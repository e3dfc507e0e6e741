// Llama 4, the text part: layers that see their chunk of positions alone, with RoPE and norms on Q
// and K, beside full ones without either whose queries grow with the position; mixtures whose
// weights go to what experts get. The vision tower is ignored. Source: transformers models/llama4.

#include <algorithm>

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// `no_rope_layers`: 1 for each layer that has a RoPE.
std::vector<bool> read_rope_layers(const Config& config, int n_layers) {
  const int interval = config.int_or("no_rope_layer_interval", 4, 1, kMaxLayers);
  const std::vector<double> listed =
      config.numbers("no_rope_layers").value_or(std::vector<double>());
  if (!listed.empty() && listed.size() < static_cast<std::size_t>(n_layers)) {
    config.corrupt("no_rope_layers", "wrong length (expected ", n_layers, ", got ", listed.size(),
                   ")");
  }
  std::vector<bool> has_rope;
  for (int i = 0; i < n_layers; ++i) {
    has_rope.push_back(listed.empty() ? (i + 1) % interval != 0
                                      : listed[static_cast<std::size_t>(i)] != 0.0);
  }
  return has_rope;
}

void read_chunks(const Config& config, const std::vector<bool>& has_rope, ModelSpec& spec) {
  const int chunk = config.mentions("attention_chunk_size")
                        ? config.find_int("attention_chunk_size", 1, kMaxPositions).value_or(0)
                        : 8192;
  const auto types = config.strings("layer_types");
  if (types && types->size() != spec.layers.size()) {
    config.corrupt("layer_types", "wrong length (expected ", spec.layers.size(), ", got ",
                   types->size(), ")");
  }
  for (int i = 0; i < spec.n_layers(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    bool chunked = has_rope[at];
    if (types) {
      chunked = (*types)[at] == "chunked_attention";
      if (!chunked && (*types)[at] != "full_attention") {
        config.unsupported("layer_types", "unknown layer type (expected full_attention or ",
                           "chunked_attention, got ", (*types)[at], ")");
      }
      if (chunked && chunk == 0)
        config.corrupt("attention_chunk_size", "missing although layer ", i, " needs it");
    }
    if (chunked) attention_of(spec, i).chunk = chunk;
  }
}

void read_attention(const Config& config, ModelSpec& spec) {
  const std::vector<bool> has_rope = read_rope_layers(config, spec.n_layers());
  read_chunks(config, has_rope, spec);
  const bool norms = config.bool_or("use_qk_norm", true);
  const bool tuned = config.bool_or("attn_temperature_tuning", true);
  const device::PositionScale scale{
      .beta = static_cast<float>(config.positive_or("attn_scale", 0.1)),
      .length = static_cast<float>(config.positive_or("floor_scale", 8192.0)),
      .offset = 1.0F};
  NormSpec norm = spec.norm;
  norm.has_weight = false;
  for (int i = 0; i < spec.n_layers(); ++i) {
    SelfAttentionSpec& attention = attention_of(spec, i);
    if (has_rope[static_cast<std::size_t>(i)]) {
      attention.qk_norm = norms ? QkNorm::kHead : QkNorm::kNone;
      attention.qk_norm_after_rope = true;
      attention.qk_norm_spec = norm;
    } else {
      attention.rope = -1;
      if (tuned) attention.query_scale = scale;
    }
  }
}

void read_mixtures(const Config& config, ModelSpec& spec) {
  MoeFfnSpec moe = hf::read_moe(
      config, spec,
      {.n_experts_key = "num_local_experts", .n_experts = 16, .top_k = 1, .ffn_dim_key = {}});
  moe.router.score = device::RouterSpec::Score::kSigmoid;
  moe.router.normalise = false;
  moe.router.weighs_input = true;
  moe.shared = moe.expert;
  const int dense_dim = config.int_or("intermediate_size_mlp", 16384, 1, kMaxFfnDim);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.ffn_dim = dense_dim; });
  const int step = config.int_or("interleave_moe_layer_step", 1, 1, kMaxLayers);
  const auto listed = config.numbers("moe_layers");
  for (int i = 0; i < spec.n_layers(); ++i) {
    const bool is_moe = listed ? std::find(listed->begin(), listed->end(), i) != listed->end()
                               : (i + 1) % step == 0;
    if (is_moe) spec.layers[static_cast<std::size_t>(i)].ffn = moe;
  }
}

ModelSpec from_text_config(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 202048,
                                                .hidden_size = 5120,
                                                .n_layers = 48,
                                                .n_heads = 40,
                                                .n_kv_heads = 8,
                                                .head_dim = 128,
                                                .ffn_dim = 8192,
                                                .max_positions = 131072,
                                                .norm_eps = 1e-5});
  hf::read_single_rope(config, spec, {.theta = 500000.0, .style = device::RopeStyle::kInterleaved});
  hf::read_attention_bias(config, spec);
  read_attention(config, spec);
  read_mixtures(config, spec);
  return spec;
}

ModelSpec from_hf(const Config& config) {
  const std::optional<Config> text = config.object("text_config");
  return from_text_config(text ? *text : config);
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  const std::vector<ModuleName> own = {
      {role::kGate, "layers.#.feed_forward.gate_proj"},
      {role::kUp, "layers.#.feed_forward.up_proj"},
      {role::kDown, "layers.#.feed_forward.down_proj"},
      {role::kRouter, "layers.#.feed_forward.router"},
      {role::kExpertGateUp, "layers.#.feed_forward.experts.gate_up_proj"},
      {role::kExpertDown, "layers.#.feed_forward.experts.down_proj"},
      {role::kSharedGate, "layers.#.feed_forward.shared_expert.gate_proj"},
      {role::kSharedUp, "layers.#.feed_forward.shared_expert.up_proj"},
      {role::kSharedDown, "layers.#.feed_forward.shared_expert.down_proj"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  layout.transposed_experts = true;
  hf::add_text_prefixes(layout);
  return layout;
}

/// What is not in the file is as in the two models that were published: the one of 128 experts has
/// no norms on Q and K.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  constexpr int kWithoutNorms = 128;
  gguf::Members members(config, checkpoint);
  members.copy("feed_forward_length", "intermediate_size_mlp")
      .copy("expert_feed_forward_length", "intermediate_size")
      .copy("interleave_moe_layer_step", "interleave_moe_layer_step")
      .copy("attention.sliding_window", "attention_chunk_size")
      .set("use_qk_norm", config.int_or("expert_count", 0, 0, kMaxExperts) != kWithoutNorms);
  if (config.int_or("attention.sliding_window", 1, 0, kMaxPositions) == 0)
    config.unsupported("attention.sliding_window", "networks without chunks (expected > 0)");
  return members.read(from_text_config);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family llama4_family() {
  return {"llama4",     {"llama4", "llama4_text"}, {"llama4"}, from_hf, from_gguf, hf_layout(),
          gguf_layout()};
}

}  // namespace openllm::model
