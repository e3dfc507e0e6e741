// Jamba: Mamba with norms on steps, b and c; attention without RoPE on every attn_layer_period-th
// layer, a mixture of experts on every expert_layer_period-th. Source: transformers models/jamba.

#include "model/arch/family.h"
#include "model/arch/gguf_hybrid.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

/// Layers i with i % period == offset.
std::vector<bool> read_periodic(const Config& config, int n_layers, std::string_view period_key,
                                int period, std::string_view offset_key, int offset) {
  period = config.int_or(period_key, period, 1, kMaxLayers);
  offset = config.int_or(offset_key, offset, 0, period - 1);
  std::vector<bool> is_it(static_cast<std::size_t>(n_layers));
  for (int i = 0; i < n_layers; ++i) is_it[static_cast<std::size_t>(i)] = i % period == offset;
  return is_it;
}

MambaSpec read_mamba(const Config& config, const ModelSpec& spec) {
  MambaSpec mamba;
  const std::int64_t width = std::int64_t{config.int_or("mamba_expand", 2, 1, 1024)} * spec.dim;
  mamba.n_columns = static_cast<int>(width);
  mamba.n_numbers = config.int_or("mamba_d_state", 16, 1, hf::kMaxStateNumbers);
  const base::Json* rank = config.find("mamba_dt_rank");
  const bool is_auto =
      rank == nullptr || (rank->if_string() != nullptr && *rank->if_string() == "auto");
  mamba.step_rank =
      is_auto ? (spec.dim + 15) / 16 : config.require_int("mamba_dt_rank", 1, kMaxDim);
  mamba.n_taps = config.int_or("mamba_d_conv", 4, 1, hf::kMaxConvTaps);
  mamba.bias = config.bool_or("mamba_proj_bias", false);
  mamba.conv_bias = config.bool_or("mamba_conv_bias", true);
  mamba.activation = hf::read_activation(config, "hidden_act", "silu");
  mamba.norms = spec.norm;
  return mamba;
}

ModelSpec read_sizes(const Config& config) {
  return hf::read_llama_like(config, {.vocab_size = 65536,
                                      .n_kv_heads = 8,
                                      .ignores_head_dim = true,
                                      .ffn_dim = 14336,
                                      .max_positions = 262144});
}

void read_layers(const Config& config, const std::vector<bool>& attends,
                 const std::vector<bool>& is_mixture, ModelSpec& spec) {
  const MambaSpec mamba = read_mamba(config, spec);
  const std::string_view count = config.first_of({"num_local_experts", "num_experts"});
  const bool has_experts = config.int_or(count, 16, 1, kMaxExperts) > 1;
  std::optional<MoeFfnSpec> moe;
  if (has_experts) {
    moe = hf::read_moe(config, spec,
                       {.n_experts_key = count, .n_experts = 16, .top_k = 2, .ffn_dim_key = {}});
    moe->router.normalise = false;
  }
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (!attends[i]) spec.layers[i].mixer = mamba;
    if (is_mixture[i] && moe) spec.layers[i].ffn = *moe;
  }
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_sizes(config);
  const int n_layers = spec.n_layers();
  read_layers(
      config, read_periodic(config, n_layers, "attn_layer_period", 8, "attn_layer_offset", 4),
      read_periodic(config, n_layers, "expert_layer_period", 2, "expert_layer_offset", 1), spec);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::rename(layout, role::kFinalNorm, "final_layernorm");
  hf::rename(layout, role::kFfnNorm, "layers.#.pre_ff_layernorm");
  hf::rename(layout, role::kGate, "layers.#.feed_forward.gate_proj");
  hf::rename(layout, role::kUp, "layers.#.feed_forward.up_proj");
  hf::rename(layout, role::kDown, "layers.#.feed_forward.down_proj");
  hf::add_mamba(layout, false);
  hf::add(layout, {{role::kMambaStepNorm, "layers.#.mamba.dt_layernorm"},
                   {role::kMambaBNorm, "layers.#.mamba.b_layernorm"},
                   {role::kMambaCNorm, "layers.#.mamba.c_layernorm"},
                   {role::kRouter, "layers.#.feed_forward.router"},
                   {role::kExpertGate, "layers.#.feed_forward.experts.@.gate_proj"},
                   {role::kExpertUp, "layers.#.feed_forward.experts.@.up_proj"},
                   {role::kExpertDown, "layers.#.feed_forward.experts.@.down_proj"},
                   {role::kExpertGateUp, "layers.#.feed_forward.experts.gate_up_proj"},
                   {role::kExpertDown, "layers.#.feed_forward.experts.down_proj"}});
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  const std::vector<bool> attends =
      members.layers_with("attention.head_count_kv", "num_key_value_heads");
  const std::vector<bool> is_mixture = members.layers_with_tensor("ffn_gate_inp.weight");
  members.copy("ssm.state_size", "mamba_d_state")
      .copy("ssm.conv_kernel", "mamba_d_conv")
      .copy("ssm.time_step_rank", "mamba_dt_rank")
      .set("mamba_expand", gguf::read_expansion(config))
      .set("mamba_proj_bias", members.some_layer_has("ssm_in.bias"))
      .set("mamba_conv_bias", members.some_layer_has("ssm_conv1d.bias"));
  return members.read([&](const Config& values) {
    ModelSpec spec = read_sizes(values);
    read_layers(values, attends, is_mixture, spec);
    return spec;
  });
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_mamba(layout);
  gguf::add_experts(layout);
  return layout;
}

}  // namespace

Family jamba_family() {
  return {"jamba", {"jamba"}, {"jamba"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
