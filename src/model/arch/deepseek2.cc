// DeepSeek-V2: latent attention, dense first layers, then groups of routed experts beside shared
// ones. Source: transformers models/deepseek_v2.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// YaRN makes scores larger by mscale_all_dim, once for queries and once for keys.
float score_scale(const Config& config, int q_dim) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q_dim));
  std::optional<Config> rope = config.object("rope_scaling");
  if (!rope || rope->empty()) rope = config.object("rope_parameters");
  if (!rope) return static_cast<float>(scale);
  const std::string type = rope->string_or(rope->first_of({"rope_type", "type"}), "default");
  const double mscale = rope->not_negative_or("mscale_all_dim", 0.0);
  const double factor = rope->positive_or("factor", 1.0);
  if (type == "default" || mscale == 0.0 || factor <= 1.0) return static_cast<float>(scale);
  const double once = 0.1 * mscale * std::log(factor) + 1.0;
  return static_cast<float>(scale * once * once);
}

LatentAttentionSpec read_attention(const Config& config, int n_heads) {
  LatentAttentionSpec attention;
  attention.n_heads = n_heads;
  attention.q_rank =
      config.mentions("q_lora_rank") ? config.int_or("q_lora_rank", 0, 1, kMaxDim) : 1536;
  attention.kv_rank = config.int_or("kv_lora_rank", 512, 1, kMaxDim);
  attention.nope_dim = config.int_or("qk_nope_head_dim", 128, 1, kMaxHeadDim);
  attention.rope_dim = config.int_or("qk_rope_head_dim", 64, 2, kMaxHeadDim);
  attention.value_dim = config.int_or("v_head_dim", 128, 1, kMaxHeadDim);
  attention.bias = config.bool_or("attention_bias", false);
  attention.output_bias = attention.bias;
  attention.scale = score_scale(config, attention.nope_dim + attention.rope_dim);
  attention.rope = 0;
  attention.norm = {device::NormKind::kRms, 1e-6F, 0.0F};  // whatever rms_norm_eps says
  return attention;
}

device::RouterSpec read_router(const Config& config) {
  device::RouterSpec router;
  router.n_experts = config.int_or("n_routed_experts", 64, 1, kMaxExperts);
  router.top_k = config.int_or("num_experts_per_tok", 6, 1, router.n_experts);
  router.normalise = false;  // as transformers, which does not look at norm_topk_prob
  router.scale = static_cast<float>(config.positive_or("routed_scaling_factor", 1.0));
  const std::string method = config.string_or("topk_method", "greedy");
  if (method == "greedy") return router;
  if (method != "group_limited_greedy") {
    config.unsupported("topk_method", "unknown way to choose experts (expected greedy or ",
                       "group_limited_greedy, got ", method, ")");
  }
  router.n_groups = config.require_int("n_group", 1, router.n_experts);
  router.top_groups = config.require_int("topk_group", 1, router.n_groups);
  if (router.n_experts % router.n_groups != 0 ||
      router.top_groups * (router.n_experts / router.n_groups) < router.top_k) {
    config.corrupt("n_group", "groups do not fit (", router.n_experts, " experts in ",
                   router.n_groups, " groups, ", router.top_k, " chosen from ", router.top_groups,
                   ")");
  }
  return router;
}

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  // `head_dim` of these files is the rotated part.
  defaults.head_dim = config.int_or("qk_rope_head_dim", 64, 2, kMaxHeadDim);
  defaults.ignores_head_dim = true;
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::read_single_rope(config, spec, defaults.rope_theta);
  spec.ropes[0].style = device::RopeStyle::kInterleaved;
  const LatentAttentionSpec attention = read_attention(config, attention_of(spec, 0).n_heads);
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });

  MoeFfnSpec moe;
  moe.router = read_router(config);
  moe.expert = std::get<DenseFfnSpec>(spec.layers[0].ffn);
  moe.expert.bias = false;
  moe.expert.ffn_dim = config.int_or("moe_intermediate_size", 1407, 1, kMaxFfnDim);
  const int n_shared = config.int_or("n_shared_experts", 2, 0, kMaxExperts);
  if (n_shared > 0) {
    moe.shared = std::get<DenseFfnSpec>(spec.layers[0].ffn);
    moe.shared->ffn_dim = moe.expert.ffn_dim * n_shared;
  }
  const int n_dense = config.int_or("first_k_dense_replace", 0, 0, kMaxLayers);
  for (int i = 0; i < spec.n_layers(); ++i) {
    LayerSpec& layer = spec.layers[static_cast<std::size_t>(i)];
    layer.mixer = attention;
    if (i >= n_dense) layer.ffn = moe;
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  const std::vector<ModuleName> own = {
      {role::kLatentQ, "layers.#.self_attn.q_proj"},
      {role::kLatentQDown, "layers.#.self_attn.q_a_proj"},
      {role::kLatentQNorm, "layers.#.self_attn.q_a_layernorm"},
      {role::kLatentQUp, "layers.#.self_attn.q_b_proj"},
      {role::kLatentKvDown, "layers.#.self_attn.kv_a_proj_with_mqa"},
      {role::kLatentKvNorm, "layers.#.self_attn.kv_a_layernorm"},
      {role::kLatentKvUp, "layers.#.self_attn.kv_b_proj"},
      {role::kLatentOutput, "layers.#.self_attn.o_proj"},
      {role::kRouter, "layers.#.mlp.gate"},
      {role::kExpertGate, "layers.#.mlp.experts.@.gate_proj"},
      {role::kExpertUp, "layers.#.mlp.experts.@.up_proj"},
      {role::kExpertDown, "layers.#.mlp.experts.@.down_proj"},
      {role::kSharedGate, "layers.#.mlp.shared_experts.gate_proj"},
      {role::kSharedUp, "layers.#.mlp.shared_experts.up_proj"},
      {role::kSharedDown, "layers.#.mlp.shared_experts.down_proj"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  return layout;
}

}  // namespace

Family deepseek2_family() {
  return {"deepseek2", {"deepseek_v2"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
