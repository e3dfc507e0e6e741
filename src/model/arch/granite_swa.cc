// Granite with sinks and windows on three of four layers, dense or with Granite's mixtures; each
// layer may have a RoPE base of its own, or none. Source: transformers models/granite_swa,
// granitemoe_swa.

#include <map>

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// `layer_rope_theta`: the base of each layer's RoPE; 0: none.
void read_ropes(const Config& config, ModelSpec& spec) {
  hf::read_single_rope(config, spec);
  const auto bases = config.numbers("layer_rope_theta");
  if (!bases) return;
  if (bases->size() != spec.layers.size()) {
    config.corrupt("layer_rope_theta", "wrong length (expected ", spec.layers.size(), ", got ",
                   bases->size(), ")");
  }
  std::optional<Config> rope = config.object("rope_scaling");
  if (!rope || rope->empty()) rope = config.object("rope_parameters");
  if (rope && rope->string_or(rope->first_of({"rope_type", "type"}), "default") != "default") {
    config.unsupported("layer_rope_theta", "only with RoPE of type default");
  }
  spec.ropes.clear();
  std::map<double, int> known;
  for (int i = 0; i < spec.n_layers(); ++i) {
    SelfAttentionSpec& attention = attention_of(spec, i);
    const double base = (*bases)[static_cast<std::size_t>(i)];
    attention.rope = -1;
    if (base == 0.0) continue;
    if (!(base > 0.0))
      config.corrupt("layer_rope_theta", "bad value (expected >= 0, got ", base, ")");
    if (!known.contains(base)) {
      RopeParameters parameters;
      parameters.head_dim = attention.head_dim;
      parameters.n_rotary = attention.head_dim;
      parameters.theta = base;
      known[base] = hf::add_rope(spec, parameters);
    }
    attention.rope = known[base];
  }
}

ModelSpec read_network(const Config& config, const hf::Defaults& defaults) {
  ModelSpec spec = hf::read_llama_like(config, defaults);
  read_ropes(config, spec);
  hf::read_attention_bias(config, spec);
  hf::read_granite_multipliers(config, spec);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back(i % 4 != 0);
  hf::read_layer_types(config, spec, hf::read_window(config, 128), windowed);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.sinks = true; });
  return spec;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_network(config, {.vocab_size = 100352,
                                         .hidden_size = 2560,
                                         .n_layers = 24,
                                         .n_heads = 20,
                                         .n_kv_heads = 4,
                                         .ffn_dim = 8192,
                                         .max_positions = 8192,
                                         .norm_eps = 1e-5,
                                         .tied = true});
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  return spec;
}

ModelSpec from_moe(const Config& config) {
  ModelSpec spec = read_network(config, {});
  MoeFfnSpec moe = hf::read_moe(
      config, spec,
      {.n_experts_key = "num_local_experts", .n_experts = 8, .top_k = 2, .ffn_dim_key = {}});
  const int shared = config.int_or("shared_intermediate_size", 0, 0, kMaxFfnDim);
  if (shared > 0) {
    moe.shared = moe.expert;
    moe.shared->ffn_dim = shared;
  }
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  layout.modules.push_back({role::kSinks, "layers.#.self_attn.sinks"});
  return layout;
}

ModuleLayout moe_layout() {
  ModuleLayout layout = hf_layout();
  hf::remove_ffn(layout);
  const std::vector<ModuleName> own = {
      {role::kRouter, "layers.#.block_sparse_moe.router.layer"},
      {role::kRouter, "layers.#.block_sparse_moe.router"},
      {role::kExpertGateUp, "layers.#.block_sparse_moe.input_linear"},
      {role::kExpertGateUp, "layers.#.block_sparse_moe.experts.gate_up_proj"},
      {role::kExpertDown, "layers.#.block_sparse_moe.output_linear"},
      {role::kExpertDown, "layers.#.block_sparse_moe.experts.down_proj"},
      {role::kSharedGateUp, "layers.#.shared_mlp.input_linear"},
      {role::kSharedDown, "layers.#.shared_mlp.output_linear"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  return layout;
}

/// attention.rope_pattern: true for each layer that has a RoPE.
void read_rope_pattern(const Config& config, ModelSpec& spec) {
  constexpr std::string_view kKey = "attention.rope_pattern";
  const base::Json* value = config.find(kKey);
  if (value == nullptr) return;
  const base::JsonArray* listed = value->if_array();
  if (listed == nullptr || listed->size() != spec.layers.size())
    config.corrupt(kKey, "bad value (expected a boolean for each of ", spec.n_layers(), " layers)");
  for (int i = 0; i < spec.n_layers(); ++i) {
    const bool* has_rope = (*listed)[static_cast<std::size_t>(i)].if_bool();
    if (has_rope == nullptr) config.corrupt(kKey, "wrong type (expected booleans)");
    if (!*has_rope) attention_of(spec, i).rope = -1;
  }
}

/// Both are written under one name.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.copy("attention.sliding_window", "sliding_window");
  base::JsonArray kinds;
  for (const bool windowed : gguf::read_windowed_layers(config, members.n_layers(), 4))
    kinds.emplace_back(windowed ? "sliding_attention" : "full_attention");
  members.set("layer_types", std::move(kinds));
  const bool is_mixture = config.int_or("expert_count", 0, 0, kMaxExperts) > 0;
  ModelSpec spec = members.read(is_mixture ? from_moe : from_hf, gguf::Members::Heads::kPaired);
  read_rope_pattern(config, spec);
  return spec;
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout_with({{role::kSinks, "blk.#.attn_sinks.weight"},
                                           {role::kRouter, "blk.#.ffn_gate_inp"},
                                           {role::kExpertGateUp, "blk.#.ffn_gate_up_exps"},
                                           {role::kExpertDown, "blk.#.ffn_down_exps"},
                                           {role::kSharedGateUp, "blk.#.ffn_up_shexp"},
                                           {role::kSharedDown, "blk.#.ffn_down_shexp"}});
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family granite_swa_family() {
  return {"granite_swa", {"granite_swa"}, {"granite_swa"}, from_hf,
          from_gguf,     hf_layout(),     gguf_layout()};
}

Family granitemoe_swa_family() {
  return {"granitemoe_swa", {"granitemoe_swa"}, {}, from_moe, nullptr, moe_layout(), {}};
}

}  // namespace openllm::model
