// Nemotron-H: layers of one half each, a Mamba 2, attention without RoPE, an FFN with squared ReLU,
// or a mixture of such. Source: transformers models/nemotron_h.

#include <cmath>
#include <string>
#include <vector>

#include "model/arch/family.h"
#include "model/arch/gguf_hybrid.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

/// One letter for each layer: M Mamba, * attention, - FFN, E mixture.
std::string read_pattern(const Config& config) {
  const std::string_view key = config.first_of({"layers_block_type", "layer_types"});
  const auto words = config.strings(key);
  std::string pattern = words ? "" : config.string_or("hybrid_override_pattern", "ME*-");
  if (words) {
    for (const std::string& word : *words) {
      if (word == "linear_attention" || word == "mamba") {
        pattern += 'M';
      } else if (word == "full_attention" || word == "attention") {
        pattern += '*';
      } else if (word == "mlp") {
        pattern += '-';
      } else if (word == "moe") {
        pattern += 'E';
      } else {
        config.unsupported(key,
                           "unknown kind of layer (expected linear_attention, full_attention, mlp "
                           "or moe, got ",
                           word, ")");
      }
    }
  }
  if (pattern.empty() || pattern.find_first_not_of("M*-E") != std::string::npos ||
      pattern.size() > static_cast<std::size_t>(kMaxLayers)) {
    config.corrupt("hybrid_override_pattern", "bad value (expected letters of M, *, - and E, got ",
                   pattern, ")");
  }
  return pattern;
}

SelfAttentionSpec read_attention(const Config& config) {
  SelfAttentionSpec attention;
  attention.n_heads = config.int_or("num_attention_heads", 32, 1, kMaxHeads);
  attention.n_kv_heads =
      config.int_or("num_key_value_heads",
                    config.mentions("num_key_value_heads") ? attention.n_heads : 8, 1, kMaxHeads);
  attention.head_dim = config.int_or("head_dim", 128, 1, kMaxHeadDim);
  attention.scale = 1.0F / std::sqrt(static_cast<float>(attention.head_dim));
  if (attention.n_heads % attention.n_kv_heads != 0) {
    config.corrupt("num_key_value_heads",
                   "does not divide num_attention_heads (expected a divisor of ", attention.n_heads,
                   ", got ", attention.n_kv_heads, ")");
  }
  return attention;
}

Mamba2Spec read_mamba(const Config& config, const ModelSpec& spec) {
  Mamba2Spec mamba;
  const std::string_view groups = config.first_of({"mamba_n_groups", "n_groups"});
  mamba.n_heads = config.int_or("mamba_num_heads", 128, 1, kMaxHeads);
  mamba.head_dim = config.int_or("mamba_head_dim", 64, 1, kMaxHeadDim);
  mamba.n_numbers = config.int_or("ssm_state_size", 128, 1, hf::kMaxStateNumbers);
  mamba.n_groups = config.int_or(groups, 8, 1, kMaxHeads);
  mamba.n_taps =
      config.int_or(config.first_of({"mamba_d_conv", "conv_kernel"}), 4, 1, hf::kMaxConvTaps);
  mamba.bias = config.bool_or("use_bias", false);
  mamba.output_bias = mamba.bias;
  mamba.conv_bias = config.bool_or(config.first_of({"mamba_conv_bias", "use_conv_bias"}), true);
  mamba.activation = hf::read_activation(config, "mamba_hidden_act", "silu");
  // The smallest step alone; what the file calls the limits is not looked at.
  mamba.steps.min = static_cast<float>(
      config.not_negative_or(config.first_of({"mamba_dt_min", "time_step_min"}), 0.001));
  mamba.norm_eps = spec.norm.eps;
  mamba.norm_groups = mamba.n_groups;
  if (mamba.n_heads % mamba.n_groups != 0) {
    config.corrupt(groups, "does not divide mamba_num_heads (expected a divisor of ", mamba.n_heads,
                   ", got ", mamba.n_groups, ")");
  }
  return mamba;
}

DenseFfnSpec read_ffn(const Config& config) {
  DenseFfnSpec ffn;
  ffn.ffn_dim = config.int_or("intermediate_size", 21504, 1, kMaxFfnDim);
  ffn.gated = false;
  ffn.activation = hf::read_activation(config, "mlp_hidden_act", "relu2");
  ffn.bias = config.bool_or("mlp_bias", false);
  return ffn;
}

MoeFfnSpec read_mixture(const Config& config, const DenseFfnSpec& ffn) {
  if (config.has("moe_latent_size"))
    config.unsupported("moe_latent_size", "experts of another width than the network's");
  MoeFfnSpec moe;
  moe.router.n_experts = config.int_or("n_routed_experts", 8, 1, kMaxExperts);
  moe.router.top_k = config.int_or("num_experts_per_tok", 2, 1, moe.router.n_experts);
  hf::read_sigmoid_router(config, moe, 1.0, 1, 1, true);
  moe.expert = ffn;
  moe.expert.bias = false;
  moe.expert.ffn_dim = config.int_or("moe_intermediate_size", 7688, 1, kMaxFfnDim);
  moe.shared = ffn;
  moe.shared->ffn_dim = config.int_or("moe_shared_expert_intermediate_size", 7688, 1, kMaxFfnDim);
  return moe;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_mixers_alone(
      config, {.vocab_size = 131072, .hidden_size = 4096, .n_layers = 4, .tied = false});
  spec.max_positions = config.int_or("max_position_embeddings", 4096, 1, kMaxPositions);
  const std::string pattern = read_pattern(config);
  const SelfAttentionSpec attention = read_attention(config);
  const Mamba2Spec mamba = read_mamba(config, spec);
  const DenseFfnSpec ffn = read_ffn(config);
  spec.layers.clear();
  for (const char kind : pattern) {
    LayerSpec& layer = spec.layers.emplace_back(LayerSpec{NoMixerSpec{}, {}, NoFfnSpec{}, {}});
    if (kind == 'M') layer.mixer = mamba;
    if (kind == '*') layer.mixer = attention;
    if (kind == '-') layer.ffn = ffn;
    if (kind == 'E') layer.ffn = read_mixture(config, ffn);
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::mixers_alone_layout();
  hf::add_mamba2(layout, true);
  hf::add(layout, {{role::kFfnNorm, "layers.#.norm"},
                   {role::kQ, "layers.#.mixer.q_proj"},
                   {role::kK, "layers.#.mixer.k_proj"},
                   {role::kV, "layers.#.mixer.v_proj"},
                   {role::kAttentionOutput, "layers.#.mixer.o_proj"},
                   {role::kUp, "layers.#.mixer.up_proj"},
                   {role::kDown, "layers.#.mixer.down_proj"},
                   {role::kRouter, "layers.#.mixer.gate"},
                   {role::kRouterCorrection, "layers.#.mixer.gate.e_score_correction_bias"},
                   {role::kExpertUp, "layers.#.mixer.experts.@.up_proj"},
                   {role::kExpertDown, "layers.#.mixer.experts.@.down_proj"},
                   {role::kExpertUp, "layers.#.mixer.experts.up_proj"},
                   {role::kExpertDown, "layers.#.mixer.experts.down_proj"},
                   {role::kSharedUp, "layers.#.mixer.shared_experts.up_proj"},
                   {role::kSharedDown, "layers.#.mixer.shared_experts.down_proj"}});
  layout.ignored = {"mtp.*"};
  return layout;
}

/// Each layer's letter by what it has.
std::string read_gguf_pattern(const Config& config, gguf::Members& members) {
  const std::vector<bool> attends =
      members.layers_with("attention.head_count_kv", "num_key_value_heads");
  const std::vector<bool> is_mamba = members.layers_with_tensor("ssm_in.weight");
  const std::vector<bool> is_mixture = members.layers_with_tensor("ffn_gate_inp.weight");
  std::string pattern;
  for (std::size_t i = 0; i < attends.size(); ++i) {
    if (attends[i] && (is_mamba[i] || is_mixture[i])) {
      config.corrupt("attention.head_count_kv", "layer ", i,
                     " has heads although it does not attend (expected 0)");
    }
    const char other = is_mixture[i] ? 'E' : '-';
    pattern += attends[i] ? '*' : is_mamba[i] ? 'M' : other;
  }
  return pattern;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  const std::string pattern = read_gguf_pattern(config, members);
  gguf::read_mamba2(config, members);
  members.copy("attention.layer_norm_rms_epsilon", "layer_norm_epsilon")
      .copy("ssm.group_count", "n_groups")
      .copy("ssm.state_size", "ssm_state_size")
      .copy("ssm.time_step_rank", "mamba_num_heads")
      .copy("ssm.conv_kernel", "conv_kernel")
      .copy("expert_shared_feed_forward_length", "moe_shared_expert_intermediate_size")
      .set("mamba_head_dim", config.require_int("ssm.inner_size", 1, kMaxFfnDim) /
                                 config.require_int("ssm.time_step_rank", 1, kMaxHeads))
      .set("use_bias", members.some_layer_has("ssm_in.bias"))
      .set("use_conv_bias", members.some_layer_has("ssm_conv1d.bias"))
      .set("intermediate_size", nullptr)
      .set("hybrid_override_pattern", pattern);
  const std::size_t dense = pattern.find('-');
  if (dense != std::string::npos) {
    const tensor::TensorView* up = checkpoint.find(base::cat("blk.", dense, ".ffn_up.weight"));
    if (up != nullptr && up->shape.n_dims() == 2) members.set("intermediate_size", up->shape[0]);
  }
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout_with({{role::kFfnNorm, "blk.#.attn_norm"}});
  gguf::add_mamba2(layout);
  gguf::add_experts(layout);
  layout.paired_heads = true;  // though nothing turns them
  return layout;
}

}  // namespace

Family nemotron_h_family() {
  return {"nemotron_h", {"nemotron_h"}, {"nemotron_h", "nemotron_h_moe"}, from_hf, from_gguf,
          hf_layout(),  gguf_layout()};
}

}  // namespace openllm::model
