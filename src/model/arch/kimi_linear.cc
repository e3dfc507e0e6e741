// Kimi Linear: the delta rule with a decay for each number of a key (KDA) on three of four layers,
// latent attention without RoPE on the others; DeepSeek-V3's mixture behind the first layer.
// Source: transformers models/kimi_linear.

#include "model/arch/deepseek.h"
#include "model/arch/gguf_hybrid.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

/// Numbers of layers, from 1, at `key`.
void mark_layers(const Config& config, std::string_view key, bool value, std::vector<bool>& is_it) {
  const std::vector<double> numbers = config.numbers(key).value_or(std::vector<double>());
  for (const double number : numbers) {
    if (!(number >= 1.0 && number <= static_cast<double>(is_it.size()))) {
      config.corrupt(key, "no such layer (expected 1 to ", is_it.size(), ", got ", number, ")");
    }
    is_it[static_cast<std::size_t>(number) - 1] = value;
  }
}

std::vector<bool> read_attending(const Config& config, int n_layers) {
  std::vector<bool> attends;
  for (int i = 0; i < n_layers; ++i) attends.push_back(i > 0 && i % 4 == 0);
  const std::optional<Config> lists = config.object("linear_attn_config");
  if (lists && lists->has("full_attn_layers") && lists->has("kda_layers")) {
    mark_layers(*lists, "full_attn_layers", true, attends);
    mark_layers(*lists, "kda_layers", false, attends);
  }
  hf::read_kinds(config, "layer_types", {"full_attention"}, {"linear_attention"}, attends);
  return attends;
}

GatedDeltaSpec read_delta(const Config& config, const ModelSpec& spec) {
  GatedDeltaSpec delta;
  delta.n_heads = config.int_or("linear_num_heads", 32, 1, kMaxHeads);
  delta.key_dim = config.int_or("linear_head_dim", 128, 1, kMaxHeadDim);
  delta.n_taps = config.int_or("linear_conv_kernel_dim", 4, 1, hf::kMaxConvTaps);
  if (const std::optional<Config> own = config.object("linear_attn_config")) {
    delta.n_heads = own->int_or("num_heads", delta.n_heads, 1, kMaxHeads);
    delta.key_dim = own->int_or("head_dim", delta.key_dim, 1, kMaxHeadDim);
    delta.n_taps = own->int_or("short_conv_kernel_size", delta.n_taps, 1, hf::kMaxConvTaps);
  }
  delta.n_key_heads = delta.n_heads;
  delta.value_dim = delta.key_dim;
  delta.rank = delta.key_dim;
  delta.sigmoid_gate = true;
  delta.activation = hf::read_activation(config, "hidden_act", "silu");
  delta.norm_eps = spec.norm.eps;
  return delta;
}

MoeFfnSpec read_mixture(const Config& config, const ModelSpec& spec) {
  MoeFfnSpec moe =
      hf::read_moe(config, spec,
                   {.n_experts_key = config.first_of({"num_local_experts", "num_experts"}),
                    .n_experts = 256,
                    .top_k_key = config.first_of({"num_experts_per_tok", "num_experts_per_token"}),
                    .ffn_dim = 1024});
  device::RouterSpec& router = moe.router;
  moe.router_correction = true;
  router.score = device::RouterSpec::Score::kSigmoid;
  router.group_score = device::RouterSpec::GroupScore::kBestTwo;
  router.normalise = config.bool_or(config.first_of({"norm_topk_prob", "moe_renormalize"}), true);
  router.scale = static_cast<float>(config.positive_or("routed_scaling_factor", 2.446));
  const std::string_view groups = config.first_of({"n_group", "num_expert_group"});
  router.n_groups = config.int_or(groups, 1, 1, router.n_experts);
  router.top_groups = config.int_or("topk_group", 1, 1, router.n_groups);
  if (router.n_experts % router.n_groups != 0 ||
      router.top_groups * (router.n_experts / router.n_groups) < router.top_k) {
    config.corrupt(groups, "groups do not fit (", router.n_experts, " experts in ", router.n_groups,
                   " groups, ", router.top_k, " chosen from ", router.top_groups, ")");
  }
  return moe;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_latent_network(config,
                                       {.vocab_size = 163840,
                                        .hidden_size = 2304,
                                        .n_layers = 27,
                                        .n_kv_heads = 32,
                                        .ffn_dim = 9216,
                                        .max_positions = 1048576,
                                        .norm_eps = 1e-5,
                                        .names = {.max_positions = "model_max_length"}},
                                       {.n_heads = 32, .q_rank = 0});
  spec.ropes.clear();
  const GatedDeltaSpec delta = read_delta(config, spec);
  const std::vector<bool> attends = read_attending(config, spec.n_layers());
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (attends[i]) {
      std::get<LatentAttentionSpec>(spec.layers[i].mixer).rope = -1;
    } else {
      spec.layers[i].mixer = delta;
    }
  }
  const std::string_view shared = config.first_of({"n_shared_experts", "num_shared_experts"});
  hf::place_moe_by_type(config, spec, read_mixture(config, spec),
                        config.int_or(shared, 1, 0, kMaxExperts),
                        config.int_or("first_k_dense_replace", 1, 0, kMaxLayers));
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = deepseek_layout();
  // transformers saves dense FFNs below the mixtures' name too.
  hf::add(layout,
          {{role::kGate, "layers.#.block_sparse_moe.gate_proj"},
           {role::kUp, "layers.#.block_sparse_moe.up_proj"},
           {role::kDown, "layers.#.block_sparse_moe.down_proj"},
           {role::kRouter, "layers.#.block_sparse_moe.gate"},
           {role::kRouterCorrection, "layers.#.block_sparse_moe.gate.e_score_correction_bias"},
           {role::kExpertGate, "layers.#.block_sparse_moe.experts.@.w1"},
           {role::kExpertUp, "layers.#.block_sparse_moe.experts.@.w3"},
           {role::kExpertDown, "layers.#.block_sparse_moe.experts.@.w2"},
           {role::kSharedGate, "layers.#.block_sparse_moe.shared_experts.gate_proj"},
           {role::kSharedUp, "layers.#.block_sparse_moe.shared_experts.up_proj"},
           {role::kSharedDown, "layers.#.block_sparse_moe.shared_experts.down_proj"},
           {role::kDeltaQ, "layers.#.self_attn.q_proj"},
           {role::kDeltaK, "layers.#.self_attn.k_proj"},
           {role::kDeltaV, "layers.#.self_attn.v_proj"},
           {role::kDeltaLowGate, "layers.#.self_attn.g_a_proj"},
           {role::kDeltaGate, "layers.#.self_attn.g_b_proj"},
           {role::kDeltaBeta, "layers.#.self_attn.b_proj"},
           {role::kDeltaLowStep, "layers.#.self_attn.f_a_proj"},
           {role::kDeltaLowStep, "layers.#.self_attn.forget_gate.f_a_proj"},
           {role::kDeltaStep, "layers.#.self_attn.f_b_proj"},
           {role::kDeltaStep, "layers.#.self_attn.forget_gate.f_b_proj"},
           {role::kDeltaStepBias, "layers.#.self_attn.dt_bias"},
           {role::kDeltaStepBias, "layers.#.self_attn.forget_gate.dt_bias"},
           {role::kDeltaRates, "layers.#.self_attn.A_log"},
           {role::kDeltaRates, "layers.#.self_attn.forget_gate.A_log"},
           {role::kDeltaTaps, "layers.#.self_attn.conv1d"},
           {role::kDeltaQTaps, "layers.#.self_attn.q_conv1d"},
           {role::kDeltaKTaps, "layers.#.self_attn.k_conv1d"},
           {role::kDeltaVTaps, "layers.#.self_attn.v_conv1d"},
           {role::kDeltaNorm, "layers.#.self_attn.o_norm"},
           {role::kDeltaOutput, "layers.#.self_attn.o_proj"}});
  return layout;
}

/// KDA has as many heads as values for each number of a step's bias.
int read_delta_heads(const Config& config, const format::Checkpoint& checkpoint,
                     const std::vector<bool>& attends) {
  const int head_dim = config.require_int("kda.head_dim", 1, kMaxHeadDim);
  const int otherwise = config.require_int("attention.head_count", 1, kMaxHeads);
  for (std::size_t i = 0; i < attends.size(); ++i) {
    const tensor::TensorView* steps = checkpoint.find(base::cat("blk.", i, ".ssm_dt.bias"));
    if (!attends[i] && steps != nullptr) return static_cast<int>(steps->shape.n_elems() / head_dim);
  }
  return otherwise;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  const std::vector<bool> attends = members.layers_with("attention.head_count_kv", "kv_heads");
  gguf::set_kinds(members, "layer_types", attends, "full_attention", "linear_attention");
  const int rope_dim = config.require_int("rope.dimension_count", 2, kMaxHeadDim);
  const int key_length = config.require_int("attention.key_length_mla", rope_dim + 1, kMaxHeadDim);
  members.set("qk_rope_head_dim", rope_dim)
      .set("qk_nope_head_dim", key_length - rope_dim)
      .set("q_lora_rank", nullptr)
      .copy("attention.q_lora_rank", "q_lora_rank")
      .copy("attention.kv_lora_rank", "kv_lora_rank")
      .copy("attention.value_length_mla", "v_head_dim")
      .set("num_key_value_heads", nullptr)
      .set("linear_num_heads", read_delta_heads(config, checkpoint, attends))
      .copy("kda.head_dim", "linear_head_dim")
      .copy("ssm.conv_kernel", "linear_conv_kernel_dim");
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = latent_gguf_layout();
  hf::add(layout, {{role::kDeltaQ, "blk.#.attn_q"},
                   {role::kDeltaK, "blk.#.attn_k"},
                   {role::kDeltaV, "blk.#.attn_v"},
                   {role::kDeltaLowGate, "blk.#.ssm_g_a"},
                   {role::kDeltaGate, "blk.#.ssm_g_b"},
                   {role::kDeltaBeta, "blk.#.ssm_beta"},
                   {role::kDeltaLowStep, "blk.#.ssm_f_a"},
                   {role::kDeltaStep, "blk.#.ssm_f_b"},
                   {role::kDeltaStepBias, "blk.#.ssm_dt.bias"},
                   {role::kDeltaRates, "blk.#.ssm_a"},
                   {role::kDeltaQTaps, "blk.#.ssm_conv1d_q"},
                   {role::kDeltaKTaps, "blk.#.ssm_conv1d_k"},
                   {role::kDeltaVTaps, "blk.#.ssm_conv1d_v"},
                   {role::kDeltaNorm, "blk.#.ssm_norm"},
                   {role::kDeltaOutput, "blk.#.attn_output"}});
  return layout;
}

}  // namespace

Family kimi_linear_family() {
  return {"kimi_linear", {"kimi_linear"}, {"kimi-linear"}, from_hf,
          from_gguf,     hf_layout(),     gguf_layout()};
}

}  // namespace openllm::model
