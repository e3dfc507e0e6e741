// Laguna: norms on the heads of Q and K, a gate of softplus behind attention, heads that differ in
// number from layer to layer, a RoPE for each kind of layer, mixtures with sigmoid scores beside a
// shared expert. Source: transformers models/laguna.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

void read_ropes(const Config& config, ModelSpec& spec) {
  RopeContext context;
  context.head_dim = attention_of(spec, 0).head_dim;
  context.max_positions = spec.max_positions;
  context.may_be_partial = true;
  const std::optional<Config> nested = config.object("rope_parameters");
  const auto rope_of = [&](std::string_view type, double theta, double partial) {
    const std::optional<Config> own = nested ? nested->object(type) : std::nullopt;
    context.partial_rotary_factor = nested ? 1.0 : partial;
    return hf::add_rope(spec, read_rope(own ? &*own : nullptr, theta, context));
  };
  const int full = rope_of("full_attention", 500000.0, 0.5);
  const int windowed = rope_of("sliding_attention", 10000.0, 1.0);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.rope = attention.window > 0 ? windowed : full;
  });
}

void read_heads(const Config& config, ModelSpec& spec) {
  const auto given = config.numbers("num_attention_heads_per_layer");
  if (!given) return;
  if (given->size() != spec.layers.size()) {
    config.corrupt("num_attention_heads_per_layer", "wrong length (expected ", spec.layers.size(),
                   ", got ", given->size(), ")");
  }
  for (int i = 0; i < spec.n_layers(); ++i) {
    SelfAttentionSpec& attention = attention_of(spec, i);
    const double n = (*given)[static_cast<std::size_t>(i)];
    const bool fits = n >= 1.0 && n <= static_cast<double>(kMaxHeads) &&
                      static_cast<int>(n) % attention.n_kv_heads == 0;
    if (!fits) {
      config.corrupt("num_attention_heads_per_layer", "bad number for layer ", i,
                     " (expected a multiple of ", attention.n_kv_heads, ", got ", n, ")");
    }
    attention.n_heads = static_cast<int>(n);
  }
}

/// true or "per-head", or a gate for each number.
bool gates_heads(const Config& config) {
  const base::Json* given = config.find("gating");
  if (given == nullptr) return true;
  if (const std::string* kind = given->if_string()) return *kind == "per-head";
  return config.bool_or("gating", true);
}

void read_attention(const Config& config, ModelSpec& spec) {
  read_heads(config, spec);
  hf::read_layer_types(config, spec, hf::read_window(config, 512),
                       std::vector<bool>(spec.layers.size(), false));
  hf::read_attention_bias(config, spec);
  const bool of_heads = gates_heads(config);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.qk_norm = QkNorm::kHead;
    attention.output_gate = true;
    attention.gate_is_softplus = true;
    attention.gate_of_heads = of_heads;
  });
}

MoeFfnSpec read_mixture(const Config& config, const ModelSpec& spec) {
  if (config.not_negative_or("moe_router_logit_softcapping", 0.0) > 0.0)
    config.unsupported("moe_router_logit_softcapping", "only 0");
  if (config.bool_or("moe_apply_router_weight_on_input", false))
    config.unsupported("moe_apply_router_weight_on_input", "only false");
  MoeFfnSpec moe = hf::read_moe(config, spec, {.n_experts = 256, .top_k = 8, .ffn_dim = 512});
  moe.router.score = device::RouterSpec::Score::kSigmoid;
  moe.router.scale = static_cast<float>(config.positive_or("moe_routed_scaling_factor", 1.0));
  moe.router_correction = true;
  return moe;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 100352,
                                                .hidden_size = 2048,
                                                .n_layers = 40,
                                                .n_heads = 48,
                                                .n_kv_heads = 8,
                                                .head_dim = 128,
                                                .ffn_dim = 8192,
                                                .max_positions = 131072});
  read_attention(config, spec);
  read_ropes(config, spec);
  MoeFfnSpec moe = read_mixture(config, spec);
  hf::place_moe_by_type(config, spec, moe, 1, 1);
  const int shared = config.int_or("shared_expert_intermediate_size", 512, 1, kMaxFfnDim);
  for (LayerSpec& layer : spec.layers) {
    auto* mixture = std::get_if<MoeFfnSpec>(&layer.ffn);
    if (mixture != nullptr) mixture->shared->ffn_dim = shared;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  const std::vector<ModuleName> own = {
      {role::kAttentionGate, "layers.#.self_attn.g_proj"},
      {role::kRouterCorrection, "layers.#.mlp.experts.e_score_correction_bias"},
      {role::kSharedGate, "layers.#.mlp.shared_expert.gate_proj"},
      {role::kSharedUp, "layers.#.mlp.shared_expert.up_proj"},
      {role::kSharedDown, "layers.#.mlp.shared_expert.down_proj"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  return layout;
}

}  // namespace

Family laguna_family() { return {"laguna", {"laguna"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
