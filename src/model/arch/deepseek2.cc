// DeepSeek-V2: latent attention, dense first layers, then groups of routed experts beside shared
// ones. DeepSeek-V3 and R1: other routers. Sources: transformers models/deepseek_v2 and
// deepseek_v3.

#include <cmath>

#include "model/arch/deepseek.h"
#include "model/arch/gguf_members.h"

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

LatentAttentionSpec read_attention(const Config& config, const LatentDefaults& defaults,
                                   const ModelSpec& spec) {
  LatentAttentionSpec attention;
  attention.n_heads = attention_of(spec, 0).n_heads;
  attention.q_rank = config.mentions("q_lora_rank") ? config.int_or("q_lora_rank", 0, 1, kMaxDim)
                                                    : defaults.q_rank;
  attention.kv_rank = config.int_or("kv_lora_rank", defaults.kv_rank, 1, kMaxDim);
  attention.nope_dim = config.int_or("qk_nope_head_dim", defaults.nope_dim, 1, kMaxHeadDim);
  attention.rope_dim = config.int_or("qk_rope_head_dim", defaults.rope_dim, 2, kMaxHeadDim);
  const int value_dim = defaults.value_dim > 0 ? defaults.value_dim : spec.dim / attention.n_heads;
  attention.value_dim = config.int_or("v_head_dim", value_dim, 1, kMaxHeadDim);
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

ModelSpec from_v2(const Config& config) {
  ModelSpec spec = read_latent_network(config, {}, {.n_heads = 32});
  MoeFfnSpec moe =
      hf::read_moe(config, spec, {.n_experts_key = "n_routed_experts", .ffn_dim = 1407});
  moe.router = read_router(config);
  hf::place_deepseek_moe(config, spec, moe, 2, 0);
  return spec;
}

ModelSpec from_v3(const Config& config) {
  ModelSpec spec = read_latent_network(config,
                                       {.vocab_size = 129280,
                                        .hidden_size = 7168,
                                        .n_layers = 61,
                                        .n_kv_heads = 128,
                                        .ffn_dim = 18432,
                                        .max_positions = 4096},
                                       {});
  const MoeFfnSpec moe = read_deepseek3_moe(config, spec, 256, 2048, 2.5, 8, 4);
  hf::place_deepseek_moe(config, spec, moe, 1, 3);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = deepseek_layout();
  layout.ignored.push_back("layers.61.*");  // V3's prediction of further tokens
  return layout;
}

/// The stretching that V2 and V3 were trained with.
base::Json latent_rope(const Config& config) {
  base::Json rope = base::Json::object();
  if (config.string_or("rope.scaling.type", "none") != "yarn") return rope;
  // The file has a tenth of mscale_all_dim, which mscale is equal to.
  const double mscale = 10.0 * config.not_negative_or("rope.scaling.yarn_log_multiplier", 0.0);
  rope["rope_type"] = "yarn";
  rope["rope_theta"] = config.positive_or("rope.freq_base", 10000.0);
  rope["factor"] = config.positive_or("rope.scaling.factor", 1.0);
  rope["original_max_position_embeddings"] =
      config.require_int("rope.scaling.original_context_length", 1, kMaxPositions);
  rope["beta_fast"] = config.positive_or("rope.scaling.yarn_beta_fast", 32.0);
  rope["beta_slow"] = config.positive_or("rope.scaling.yarn_beta_slow", 1.0);
  if (mscale > 0.0) rope["mscale"] = mscale;
  if (mscale > 0.0) rope["mscale_all_dim"] = mscale;
  return rope;
}

/// V2 and V3 are written under one name; V3 corrects its router's scores.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  read_latent_gguf(config, members);
  if (config.int_or("expert_group_count", 1, 1, kMaxExperts) > 1)
    members.set("topk_method", "group_limited_greedy");
  const int n_dense = config.int_or("leading_dense_block_count", 0, 0, kMaxLayers);
  const bool is_v3 = members.has_tensor(base::cat("blk.", n_dense, ".exp_probs_b.bias"));
  return members.read(is_v3 ? from_v3 : from_v2);
}

}  // namespace

void read_latent_gguf(const Config& config, gguf::Members& members) {
  const int rope_dim = config.require_int("rope.dimension_count", 2, kMaxHeadDim);
  const std::string_view key_length =
      config.first_of({"attention.key_length_mla", "attention.key_length"});
  const std::string_view value_length =
      config.first_of({"attention.value_length_mla", "attention.value_length"});
  members.set("qk_rope_head_dim", rope_dim)
      .set("qk_nope_head_dim", config.require_int(key_length, rope_dim + 1, kMaxHeadDim) - rope_dim)
      .set("q_lora_rank", nullptr)
      .copy(value_length, "v_head_dim")
      .copy("attention.q_lora_rank", "q_lora_rank")
      .copy("attention.kv_lora_rank", "kv_lora_rank")
      .set("num_key_value_heads", nullptr)
      .set("rope_scaling", latent_rope(config));
}

ModuleLayout latent_gguf_layout() {
  ModuleLayout layout =
      gguf::layout_with({{role::kLatentQ, "blk.#.attn_q"},
                         {role::kLatentQDown, "blk.#.attn_q_a"},
                         {role::kLatentQNorm, "blk.#.attn_q_a_norm"},
                         {role::kLatentQUp, "blk.#.attn_q_b"},
                         {role::kLatentKvDown, "blk.#.attn_kv_a_mqa"},
                         {role::kLatentKvNorm, "blk.#.attn_kv_a_norm"},
                         {role::kLatentKvUp, "blk.#.attn_kv_b"},
                         {role::kLatentKUp, "blk.#.attn_k_b"},
                         {role::kLatentVUp, "blk.#.attn_v_b"},
                         {role::kLatentOutput, "blk.#.attn_output"}},
                        {role::kQ, role::kK, role::kV, role::kQNorm, role::kKNorm,
                         role::kAttentionOutput, role::kMixerPostNorm, role::kFfnPostNorm});
  gguf::add_experts(layout);
  return layout;
}

ModelSpec read_latent_network(const Config& config, const hf::Defaults& family,
                              const LatentDefaults& latent) {
  hf::Defaults defaults = family;
  // `head_dim` of these files is the rotated part.
  defaults.head_dim = config.int_or("qk_rope_head_dim", latent.rope_dim, 2, kMaxHeadDim);
  defaults.ignores_head_dim = true;
  defaults.n_heads = latent.n_heads;
  ModelSpec spec = hf::read_llama_like(config, defaults);
  const bool interleaved =
      latent.interleaved && config.bool_or("rope_interleave", latent.interleaved);
  hf::read_single_rope(
      config, spec,
      {.theta = defaults.rope_theta,
       .style = interleaved ? device::RopeStyle::kInterleaved : device::RopeStyle::kHalves});
  const LatentAttentionSpec attention = read_attention(config, latent, spec);
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  for (LayerSpec& layer : spec.layers) layer.mixer = attention;
  return spec;
}

MoeFfnSpec read_deepseek3_moe(const Config& config, const ModelSpec& spec, int n_experts,
                              int ffn_dim, double scale, int n_groups, int top_groups) {
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_local_experts", "n_routed_experts"}),
                    .n_experts = n_experts,
                    .ffn_dim = ffn_dim});
  hf::read_sigmoid_router(config, moe, scale, n_groups, top_groups, true);
  return moe;
}

ModuleLayout latent_layout() {
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
  return layout;
}

ModuleLayout deepseek_layout() {
  ModuleLayout layout = latent_layout();
  hf::add_experts(layout);
  hf::add_shared_experts(layout);
  return layout;
}

Family deepseek2_family() {
  return {"deepseek2", {"deepseek_v2"}, {"deepseek2"},       from_v2,
          from_gguf,   hf_layout(),     latent_gguf_layout()};
}

Family deepseek3_family() {
  return {"deepseek3", {"deepseek_v3"}, {}, from_v3, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
