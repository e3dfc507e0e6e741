// DeepSeek-V2: latent attention, dense first layers, then groups of routed experts beside shared
// ones. DeepSeek-V3 and R1: other routers. Sources: transformers models/deepseek_v2 and
// deepseek_v3.

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

/// Sizes, rope and latent attention; FFNs stay dense.
ModelSpec read_network(const Config& config, const hf::Defaults& family, int n_heads,
                       device::RopeStyle style) {
  hf::Defaults defaults = family;
  // `head_dim` of these files is the rotated part.
  defaults.head_dim = config.int_or("qk_rope_head_dim", 64, 2, kMaxHeadDim);
  defaults.ignores_head_dim = true;
  defaults.n_heads = n_heads;
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::read_single_rope(config, spec, {.theta = defaults.rope_theta, .style = style});
  const LatentAttentionSpec attention = read_attention(config, attention_of(spec, 0).n_heads);
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  for (LayerSpec& layer : spec.layers) layer.mixer = attention;
  return spec;
}

ModelSpec from_v2(const Config& config) {
  ModelSpec spec = read_network(config, {}, 32, device::RopeStyle::kInterleaved);
  MoeFfnSpec moe =
      hf::read_moe(config, spec, {.n_experts_key = "n_routed_experts", .ffn_dim = 1407});
  moe.router = read_router(config);
  hf::place_deepseek_moe(config, spec, moe, 2, 0);
  return spec;
}

ModelSpec from_v3(const Config& config) {
  const bool interleaved = config.bool_or("rope_interleave", true);
  ModelSpec spec =
      read_network(config,
                   {.vocab_size = 129280,
                    .hidden_size = 7168,
                    .n_layers = 61,
                    .n_kv_heads = 128,
                    .ffn_dim = 18432,
                    .max_positions = 4096},
                   128, interleaved ? device::RopeStyle::kInterleaved : device::RopeStyle::kHalves);
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_local_experts", "n_routed_experts"}),
                    .n_experts = 256,
                    .ffn_dim = 2048});
  hf::read_sigmoid_router(config, moe, 2.5, 8, 4, true);
  hf::place_deepseek_moe(config, spec, moe, 1, 3);
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
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  layout.ignored.push_back("layers.61.*");  // V3's prediction of further tokens
  return layout;
}

}  // namespace

Family deepseek2_family() {
  return {"deepseek2", {"deepseek_v2"}, {}, from_v2, nullptr, hf_layout(), {}};
}

Family deepseek3_family() {
  return {"deepseek3", {"deepseek_v3"}, {}, from_v3, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
