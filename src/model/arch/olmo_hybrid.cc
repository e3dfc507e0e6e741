// OLMo Hybrid: the gated delta rule behind norms on three of four layers, with twice the beta; OLMo
// 3's attention before norms on the others, often without RoPE. Source: transformers
// models/olmo_hybrid.

#include "model/arch/family.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

constexpr float kDeltaNormEps = 1e-5F;  // whatever rms_norm_eps says

GatedDeltaSpec read_delta(const Config& config, const ModelSpec& spec) {
  GatedDeltaSpec delta;
  const int n_heads = attention_of(spec, 0).n_heads;
  delta.n_key_heads = config.int_or("linear_num_key_heads", n_heads, 1, kMaxHeads);
  delta.n_heads = config.int_or("linear_num_value_heads", n_heads, 1, kMaxHeads);
  const int key_dim = static_cast<int>(std::int64_t{3} * spec.dim / (4 * delta.n_key_heads));
  delta.key_dim = config.int_or("linear_key_head_dim", key_dim, 1, kMaxHeadDim);
  delta.value_dim =
      config.int_or("linear_value_head_dim", std::int64_t{2} * delta.key_dim, 1, kMaxHeadDim);
  delta.n_taps = config.int_or("linear_conv_kernel_dim", 4, 1, hf::kMaxConvTaps);
  delta.activation = hf::read_activation(config, "hidden_act", "silu");
  delta.beta_scale = config.bool_or("linear_allow_neg_eigval", true) ? 2.0F : 1.0F;
  delta.norm_eps = kDeltaNormEps;
  if (delta.n_heads % delta.n_key_heads != 0) {
    config.corrupt("linear_num_key_heads",
                   "does not divide linear_num_value_heads (expected a divisor of ", delta.n_heads,
                   ", got ", delta.n_key_heads, ")");
  }
  return delta;
}

/// One layer of four attends, or the last one where there is none.
std::vector<bool> read_attending(const Config& config, int n_layers) {
  std::vector<bool> attends;
  for (int i = 0; i < n_layers; ++i) attends.push_back(i % 4 == 3);
  if (n_layers < 4) attends.back() = true;
  hf::read_kinds(config, "layer_types", {"full_attention"}, {"linear_attention"}, attends);
  return attends;
}

/// Files without a base of RoPE have none, whatever else they say of it.
bool has_rope(const Config& config) {
  if (config.has("rope_theta")) return true;
  const std::optional<Config> rope = config.object("rope_parameters");
  return rope && rope->has("rope_theta");
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 100352,
                                                .hidden_size = 3840,
                                                .n_heads = 30,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 11008,
                                                .max_positions = 65536});
  hf::read_attention_bias(config, spec);
  if (has_rope(config)) hf::read_single_rope(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kWholeRow; });
  const GatedDeltaSpec delta = read_delta(config, spec);
  const std::vector<bool> attends = read_attending(config, spec.n_layers());
  hf::use_norms_after(spec);
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (attends[i]) continue;
    spec.layers[i].mixer = delta;
    spec.layers[i].residual = {};
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  for (const Role role : {role::kMixerNorm, role::kFfnNorm, role::kDown}) hf::remove(layout, role);
  // The first name is of a module that every layer has: no norm is.
  layout.modules.insert(layout.modules.begin(), {role::kDown, "layers.#.mlp.down_proj"});
  hf::add(layout,
          {{role::kMixerNorm, "layers.#.input_layernorm"},
           {role::kMixerNorm, "layers.#.attention_layer_norm"},
           {role::kFfnNorm, "layers.#.feedforward_layer_norm"},
           {role::kFfnNorm, "layers.#.post_attention_layernorm"},
           {role::kMixerPostNorm, "layers.#.post_attention_layernorm"},
           {role::kMixerPostNorm, "layers.#.feedforward_layer_norm"},  // transformers saves it so
           {role::kFfnPostNorm, "layers.#.post_feedforward_layernorm"},
           {role::kDeltaQ, "layers.#.linear_attn.q_proj"},
           {role::kDeltaK, "layers.#.linear_attn.k_proj"},
           {role::kDeltaV, "layers.#.linear_attn.v_proj"},
           {role::kDeltaGate, "layers.#.linear_attn.g_proj"},
           {role::kDeltaBeta, "layers.#.linear_attn.b_proj"},
           {role::kDeltaStep, "layers.#.linear_attn.a_proj"},
           {role::kDeltaTaps, "layers.#.linear_attn.conv1d"},
           {role::kDeltaQTaps, "layers.#.linear_attn.q_conv1d"},
           {role::kDeltaKTaps, "layers.#.linear_attn.k_conv1d"},
           {role::kDeltaVTaps, "layers.#.linear_attn.v_conv1d"},
           {role::kDeltaStepBias, "layers.#.linear_attn.dt_bias"},
           {role::kDeltaRates, "layers.#.linear_attn.A_log"},
           {role::kDeltaNorm, "layers.#.linear_attn.o_norm"},
           {role::kDeltaOutput, "layers.#.linear_attn.o_proj"}});
  return layout;
}

}  // namespace

Family olmo_hybrid_family() {
  return {"olmo_hybrid", {"olmo_hybrid"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
