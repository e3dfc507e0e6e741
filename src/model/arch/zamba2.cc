// Zamba 2: Mamba 2 on every layer; on hybrid ones behind attention over the row and its embedding
// and an FFN, whose weights the layers share in turns. Source: transformers models/zamba2.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

Mamba2Spec read_mamba(const Config& config, const ModelSpec& spec) {
  Mamba2Spec mamba;
  const std::int64_t width = std::int64_t{config.int_or("mamba_expand", 2, 1, 1024)} * spec.dim;
  mamba.n_heads = config.int_or("n_mamba_heads", 8, 1, kMaxHeads);
  mamba.n_groups = config.int_or("mamba_ngroups", 1, 1, kMaxHeads);
  if (width % mamba.n_heads != 0 || mamba.n_heads % mamba.n_groups != 0) {
    config.corrupt("n_mamba_heads", "does not fit (", mamba.n_heads, " heads of ", width,
                   " columns in ", mamba.n_groups, " groups)");
  }
  mamba.head_dim = static_cast<int>(width / mamba.n_heads);
  mamba.n_numbers = config.int_or("mamba_d_state", 64, 1, hf::kMaxStateNumbers);
  mamba.n_taps = config.int_or("mamba_d_conv", 4, 1, hf::kMaxConvTaps);
  mamba.bias = config.bool_or("add_bias_linear", false);
  mamba.output_bias = mamba.bias;
  mamba.steps.min = static_cast<float>(config.not_negative_or("time_step_min", 0.001));
  mamba.norm_groups = mamba.n_groups;
  mamba.norm_eps = 1e-5F;
  return mamba;
}

/// `layers_block_type`, else the places of the 2.7B.
std::vector<bool> read_hybrid(const Config& config, int n_layers) {
  std::vector<bool> is_hybrid(static_cast<std::size_t>(n_layers));
  for (int i = 0; i < n_layers; ++i) {
    const bool in_sevens = i >= 6 && i <= 42 && i % 6 == 0;
    is_hybrid[static_cast<std::size_t>(i)] = in_sevens || i == 47 || i == 51;
  }
  const std::string_view key = config.first_of({"layer_types", "layers_block_type"});
  if (!config.has(key) && n_layers != 54) {
    config.corrupt("layers_block_type", "missing (without it there are 54 layers, got ", n_layers,
                   ")");
  }
  hf::read_kinds(config, key, {"hybrid"}, {"linear_attention", "mamba"}, is_hybrid);
  return is_hybrid;
}

int read_mem_rope(const Config& config, ModelSpec& spec, int head_dim) {
  if (!config.bool_or("use_mem_rope", false)) return -1;
  hf::require_even_head_dim(config, head_dim);
  RopeContext context;
  context.head_dim = head_dim;
  context.max_positions = spec.max_positions;
  std::optional<Config> rope = config.object("rope_scaling");
  if (!rope || rope->empty()) rope = config.object("rope_parameters");
  const double theta = config.positive_or("rope_theta", 10000.0);
  return hf::add_rope(spec, read_rope(rope ? &*rope : nullptr, theta, context));
}

AttentionBeforeMamba2Spec read_shared(const Config& config, ModelSpec& spec) {
  const SelfAttentionSpec& heads = attention_of(spec, 0);
  AttentionBeforeMamba2Spec shared;
  shared.n_heads = heads.n_heads;
  shared.n_kv_heads = heads.n_kv_heads;
  shared.head_dim = 2 * spec.dim / shared.n_heads;
  shared.scale = 1.0F / std::sqrt(static_cast<float>(shared.head_dim) / 2.0F);
  shared.rope = read_mem_rope(config, spec, shared.head_dim);
  shared.correction_rank = config.int_or("adapter_rank", 128, 1, kMaxDim);
  shared.corrects_attention = config.bool_or("use_shared_attention_adapter", false);
  if (shared.corrects_attention && shared.n_kv_heads != shared.n_heads) {
    config.unsupported("use_shared_attention_adapter",
                       "with fewer heads of keys than of queries (expected ", shared.n_heads,
                       ", got ", shared.n_kv_heads, ")");
  }
  shared.ffn = std::get<DenseFfnSpec>(spec.layers[0].ffn);
  shared.ffn.bias = config.bool_or("add_bias_linear", false);
  shared.mamba = read_mamba(config, spec);
  return shared;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.hidden_size = 2560,
                                                .n_layers = 54,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 0,
                                                .max_positions = 4096,
                                                .norm_eps = 1e-5,
                                                .tied = true,
                                                .activation = "gelu"});
  if (config.bool_or("use_long_context", false)) spec.max_positions = 16384;
  const std::vector<bool> is_hybrid = read_hybrid(config, spec.n_layers());
  AttentionBeforeMamba2Spec shared = read_shared(config, spec);
  const int n_blocks = config.int_or("num_mem_blocks", 1, 1, kMaxLayers);
  std::vector<int> owners;
  for (int i = 0; i < spec.n_layers(); ++i) {
    LayerSpec& layer = spec.layers[static_cast<std::size_t>(i)];
    layer.ffn = NoFfnSpec{};
    layer.mixer = shared.mamba;
    if (!is_hybrid[static_cast<std::size_t>(i)]) continue;
    if (shared.number < n_blocks) owners.push_back(i);
    shared.owner = owners[static_cast<std::size_t>(shared.number % n_blocks)];
    layer.mixer = shared;
    layer.residual.bare_mixer = true;
    ++shared.number;
  }
  spec.keeps_embedding = !owners.empty();
  return spec;
}

void add_mamba(ModuleLayout& layout) {
  layout.modules = {
      {role::kMamba2Input, "layers.#.mamba.in_proj"},
      {role::kMamba2Input, "layers.#.mamba_decoder.mamba.in_proj"},
      {role::kMamba2Taps, "layers.#.mamba.conv1d"},
      {role::kMamba2Taps, "layers.#.mamba_decoder.mamba.conv1d"},
      {role::kMamba2StepBias, "layers.#.mamba.dt_bias"},
      {role::kMamba2StepBias, "layers.#.mamba_decoder.mamba.dt_bias"},
      {role::kMamba2Rates, "layers.#.mamba.A_log"},
      {role::kMamba2Rates, "layers.#.mamba_decoder.mamba.A_log"},
      {role::kMamba2Skip, "layers.#.mamba.D"},
      {role::kMamba2Skip, "layers.#.mamba_decoder.mamba.D"},
      {role::kMamba2Norm, "layers.#.mamba.norm"},
      {role::kMamba2Norm, "layers.#.mamba_decoder.mamba.norm"},
      {role::kMamba2Output, "layers.#.mamba.out_proj"},
      {role::kMamba2Output, "layers.#.mamba_decoder.mamba.out_proj"},
  };
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  add_mamba(layout);
  hf::add(
      layout,
      {
          {role::kEmbedding, "embed_tokens"},
          {role::kFinalNorm, "final_layernorm"},
          {role::kHead, "lm_head", true},
          {role::kMixerNorm, "layers.#.input_layernorm"},
          {role::kSharedMambaNorm, "layers.#.mamba_decoder.input_layernorm"},
          {role::kSharedToMamba, "layers.#.linear"},
          {role::kSharedInputNorm, "layers.#.shared_transformer.input_layernorm"},
          {role::kSharedQ, "layers.#.shared_transformer.self_attn.q_proj"},
          {role::kSharedK, "layers.#.shared_transformer.self_attn.k_proj"},
          {role::kSharedV, "layers.#.shared_transformer.self_attn.v_proj"},
          {role::kSharedOutput, "layers.#.shared_transformer.self_attn.o_proj"},
          {role::kSharedQLow, "layers.#.shared_transformer.self_attn.linear_q_adapter_list.@.0"},
          {role::kSharedQHigh, "layers.#.shared_transformer.self_attn.linear_q_adapter_list.@.1"},
          {role::kSharedKLow, "layers.#.shared_transformer.self_attn.linear_k_adapter_list.@.0"},
          {role::kSharedKHigh, "layers.#.shared_transformer.self_attn.linear_k_adapter_list.@.1"},
          {role::kSharedVLow, "layers.#.shared_transformer.self_attn.linear_v_adapter_list.@.0"},
          {role::kSharedVHigh, "layers.#.shared_transformer.self_attn.linear_v_adapter_list.@.1"},
          {role::kSharedFfnNorm, "layers.#.shared_transformer.pre_ff_layernorm"},
          {role::kSharedFfnIn, "layers.#.shared_transformer.feed_forward.gate_up_proj"},
          {role::kSharedFfnDown, "layers.#.shared_transformer.feed_forward.down_proj"},
          {role::kSharedFfnLow,
           "layers.#.shared_transformer.feed_forward.gate_up_proj_adapter_list.@.0"},
          {role::kSharedFfnHigh,
           "layers.#.shared_transformer.feed_forward.gate_up_proj_adapter_list.@.1"},
      });
  layout.prefixes = {"model.", ""};
  // Files may have copies of the shared weights in every hybrid layer.
  layout.ignored = {"layers.#.shared_transformer.*"};
  return layout;
}

}  // namespace

Family zamba2_family() { return {"zamba2", {"zamba2"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
