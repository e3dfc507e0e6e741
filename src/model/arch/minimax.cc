// MiniMax-Text-01: lightning attention, and softmax attention with RoPE on every other layer or as
// `layer_types` says; a mixture on all layers; a residual stream that is normalised itself. Source:
// transformers models/minimax.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/gguf_hybrid.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

/// Heads decay at rates of ALiBi's kind, which become smaller from layer to layer.
std::vector<float> log_decays(int n_heads, int layer, int n_layers) {
  const double base = 1.0 / std::pow(2.0, 8.0 / n_heads);
  const double factor = 1.0 - layer / (n_layers - 1 + 1e-5) + 1e-5;
  std::vector<float> decays;
  for (int h = 1; h <= n_heads; ++h)
    decays.push_back(-static_cast<float>(std::pow(base, h) * factor));
  return decays;
}

ResidualSpec::Factors read_factors(const Config& config, std::string_view stream,
                                   std::string_view half) {
  return {static_cast<float>(config.positive_or(stream, 1.0)),
          static_cast<float>(config.positive_or(half, 1.0))};
}

void read_layers(const Config& config, ModelSpec& spec) {
  std::vector<bool> attends;
  for (int i = 0; i < spec.n_layers(); ++i) attends.push_back((i + 1) % 2 != 0);
  hf::read_kinds(config, "layer_types", {"full_attention"}, {"linear_attention"}, attends);
  LightningAttentionSpec lightning;
  lightning.n_heads = attention_of(spec, 0).n_heads;
  lightning.head_dim = attention_of(spec, 0).head_dim;
  lightning.activation = hf::read_activation(config, "hidden_act", "silu");
  const ResidualSpec::Factors full =
      read_factors(config, "full_attn_alpha_factor", "full_attn_beta_factor");
  const ResidualSpec::Factors linear =
      read_factors(config, "linear_attn_alpha_factor", "linear_attn_beta_factor");
  const ResidualSpec::Factors ffn = read_factors(config, "mlp_alpha_factor", "mlp_beta_factor");
  for (int i = 0; i < spec.n_layers(); ++i) {
    LayerSpec& layer = spec.layers[static_cast<std::size_t>(i)];
    layer.residual.norm_stream = true;
    layer.residual.ffn_factors = ffn;
    layer.residual.mixer_factors = full;
    if (attends[static_cast<std::size_t>(i)]) continue;
    layer.residual.mixer_factors = linear;
    lightning.log_decays = log_decays(lightning.n_heads, i, spec.n_layers());
    layer.mixer = lightning;
  }
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.n_kv_heads = 8,
                                                .ffn_dim = 14336,
                                                .max_positions = 4096 * 32,
                                                .norm_eps = 1e-5,
                                                .rope_theta = 1e6});
  hf::read_single_rope(config, spec, {.theta = 1e6});
  if (const std::optional<int> window = config.find_int("sliding_window", 1, kMaxPositions))
    each_attention(spec, [&](SelfAttentionSpec& attention) { attention.window = *window; });
  const MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_local_experts", "num_experts"}),
                    .n_experts = 8,
                    .top_k = 2,
                    .ffn_dim_key = {}});
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  read_layers(config, spec);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  hf::add_experts(layout);
  hf::add(layout, {{role::kRouter, "layers.#.block_sparse_moe.gate"},
                   {role::kExpertGate, "layers.#.block_sparse_moe.experts.@.w1"},
                   {role::kExpertUp, "layers.#.block_sparse_moe.experts.@.w3"},
                   {role::kExpertDown, "layers.#.block_sparse_moe.experts.@.w2"},
                   {role::kLightningQkv, "layers.#.self_attn.qkv_proj"},
                   {role::kLightningGate, "layers.#.self_attn.output_gate"},
                   {role::kLightningNorm, "layers.#.self_attn.norm"},
                   {role::kLightningOutput, "layers.#.self_attn.out_proj"}});
  // Tables that follow from the sizes.
  layout.ignored.insert(layout.ignored.end(),
                        {"layers.*.self_attn.slope_rate", "layers.*.self_attn.query_decay",
                         "layers.*.self_attn.key_decay", "layers.*.self_attn.diagonal_decay"});
  return layout;
}

/// One factor of the stream for all halves of layers; nothing multiplies what the halves give.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  const std::vector<bool> attends = gguf::read_attending(config, members.n_layers(), 8);
  gguf::set_kinds(members, "layer_types", attends, "full_attention", "linear_attention");
  members.copy("residual_scale", "full_attn_alpha_factor")
      .copy("residual_scale", "linear_attn_alpha_factor")
      .copy("residual_scale", "mlp_alpha_factor");
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  hf::add(layout, {{role::kLightningQkv, "blk.#.attn_qkv"},
                   {role::kLightningGate, "blk.#.attn_gate"},
                   {role::kLightningNorm, "blk.#.attn_norm_2"},
                   {role::kLightningOutput, "blk.#.attn_output"}});
  return layout;
}

}  // namespace

Family minimax_family() {
  return {"minimax", {"minimax"}, {"minimax-01"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
