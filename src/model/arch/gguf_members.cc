#include "model/arch/gguf_members.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/error.h"

namespace openllm::model::gguf {
namespace {

struct Pair {
  std::string_view key;
  std::string_view name;
};

constexpr Pair kPairs[] = {
    {"context_length", "max_position_embeddings"},
    {"embedding_length", "hidden_size"},
    {"attention.head_count", "num_attention_heads"},
    {"attention.head_count_kv", "num_key_value_heads"},
    {"feed_forward_length", "intermediate_size"},
    {"attention.key_length", "head_dim"},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
    {"attention.layer_norm_epsilon", "layer_norm_eps"},
    {"attention.layer_norm_epsilon", "layer_norm_epsilon"},
    {"attention.layer_norm_epsilon", "norm_epsilon"},
    {"attention.layer_norm_epsilon", "norm_eps"},
    {"attention.clamp_kqv", "clip_qkv"},
    {"rope.freq_base", "rope_theta"},
    {"logit_scale", "logit_scale"},
    {"logit_scale", "logits_scaling"},
    {"embedding_scale", "embedding_multiplier"},
    {"residual_scale", "residual_multiplier"},
    {"attention.scale", "attention_multiplier"},
    {"expert_count", "num_experts"},
    {"expert_count", "num_local_experts"},
    {"expert_count", "n_routed_experts"},
    {"expert_used_count", "num_experts_per_tok"},
    {"expert_feed_forward_length", "moe_intermediate_size"},
    {"expert_shared_feed_forward_length", "shared_expert_intermediate_size"},
    {"expert_shared_feed_forward_length", "shared_intermediate_size"},
    {"expert_shared_count", "n_shared_experts"},
    {"expert_shared_count", "moe_num_shared_experts"},
    {"leading_dense_block_count", "first_k_dense_replace"},
    {"leading_dense_block_count", "moe_layer_start_index"},
    {"expert_group_count", "n_group"},
    {"expert_group_used_count", "topk_group"},
    {"expert_weights_scale", "routed_scaling_factor"},
    {"expert_weights_norm", "norm_topk_prob"},
    {"use_parallel_residual", "use_parallel_residual"},
    {"nextn_predict_layers", "num_nextn_predict_layers"},
};

/// Keys that change the numbers where a family does not read them, and the value that is as good as
/// none.
struct Decisive {
  std::string_view key;
  double neutral;
};
constexpr Decisive kDecisive[] = {
    {"attention.sliding_window", 0.0},
    {"attention.causal", 1.0},
    {"attention.max_alibi_bias", 0.0},
    {"attention.output_scale", 1.0},
    {"attention.value_scale", 1.0},
    {"attention.temperature_scale", 0.0},
    {"attention.shared_kv_layers", 0.0},
    {"attention.indexer.top_k", 0.0},
    {"attn_logit_softcapping", 0.0},
    {"final_logit_softcapping", 0.0},
    {"router_logit_softcapping", 0.0},
    {"activation_sparsity_scale", 0.0},
    {"embedding_length_per_layer_input", 0.0},
    {"expert_group_scale", 1.0},
    {"expert_latent_length", 0.0},
    {"experts_per_group", 0.0},
    {"hash_layer_count", 0.0},
    {"hyper_connection.count", 0.0},
    {"interleave_moe_layer_step", 0.0},
    {"kda.safe_gate", 0.0},
    {"kda.gate_lower_bound", 0.0},
    {"moe_every_n_layers", 0.0},
    {"moe_latent_size", 0.0},
    {"num_loops", 1.0},
    {"rope.freq_base_swa", 0.0},
    {"rope.scaling.alpha", 0.0},
    {"ssm.dt_b_c_rms", 0.0},
    {"swiglu_clamp_exp", 0.0},
    {"swiglu_clamp_shexp", 0.0},
};

bool is_neutral(const base::Json& value, double neutral) {
  const auto is_it = [&](const base::Json& one) {
    if (const bool* flag = one.if_bool()) return *flag == (neutral != 0.0);
    return one.is_number() && one.as_double("") == neutral;
  };
  const base::JsonArray* all = value.if_array();
  return all != nullptr ? std::all_of(all->begin(), all->end(), is_it) : is_it(value);
}

/// Null when no layer attends to itself.
const SelfAttentionSpec* first_attention(const ModelSpec& spec) {
  for (const LayerSpec& layer : spec.layers) {
    if (const auto* attention = std::get_if<SelfAttentionSpec>(&layer.mixer)) return attention;
    if (const auto* both = std::get_if<AttentionBesideMamba2Spec>(&layer.mixer))
      return &both->attention;
  }
  return nullptr;
}

/// Factors for short and for long sequences are tensors (Phi 3).
void read_long_factors(const Config& config, const format::Checkpoint& checkpoint,
                       RopeParameters& rope) {
  if (!has_tensor(checkpoint, "rope_factors_long.weight") ||
      !has_tensor(checkpoint, "rope_factors_short.weight")) {
    return;
  }
  const auto n = static_cast<std::size_t>(rope.n_rotary / 2);
  rope.type = RopeParameters::Type::kLongRope;
  const std::vector<float> longer = read_factors(checkpoint, "rope_factors_long.weight", n);
  const std::vector<float> shorter = read_factors(checkpoint, "rope_factors_short.weight", n);
  rope.long_factor.assign(longer.begin(), longer.end());
  rope.short_factor.assign(shorter.begin(), shorter.end());
  rope.attention_factor = config.positive_or("rope.scaling.attn_factor", 1.0);
  rope.factor = 1.0;
}

/// What a file says of its router's scores must be what the family does.
void check_scores(const Config& config, const ModelSpec& spec) {
  constexpr int kSigmoid = 2;  // 1: softmax over all experts, 3: over the chosen ones
  const std::optional<int> named = config.find_int("expert_gating_func", 1, 1 << 16);
  if (!named) return;
  for (const LayerSpec& layer : spec.layers) {
    const auto* moe = std::get_if<MoeFfnSpec>(&layer.ffn);
    if (moe == nullptr) continue;
    const bool is_sigmoid = moe->router.score == device::RouterSpec::Score::kSigmoid;
    if (is_sigmoid == (*named == kSigmoid) && *named <= 3) continue;
    config.unsupported("expert_gating_func", "not how this architecture scores experts (expected ",
                       is_sigmoid ? "2" : "1 or 3", ", got ", *named, ")");
  }
}

}  // namespace

Members::Members(const Config& config, const format::Checkpoint& checkpoint)
    : config_(config), checkpoint_(checkpoint) {
  for (const Pair& pair : kPairs) copy(pair.key, pair.name);
  read_sizes();
  read_biases();
}

void Members::read_sizes() {
  const int n_predict = config_.int_or("nextn_predict_layers", 0, 0, kMaxLayers);
  const int n_blocks = config_.require_int("block_count", 1, kMaxLayers);
  if (n_predict >= n_blocks) {
    config_.corrupt("nextn_predict_layers", "bad value (expected less than block_count ", n_blocks,
                    ", got ", n_predict, ")");
  }
  set("num_hidden_layers", n_blocks - n_predict);
  const tensor::TensorView* table = checkpoint_.find("token_embd.weight");
  if (table == nullptr || table->shape.n_dims() != 2 || table->shape[0] < 1) {
    base::fail_at(ErrorCode::kCorruptData, config_.where(),
                  "tensor token_embd.weight: missing or of another shape (expected [vocabulary, "
                  "dim])");
  }
  set("vocab_size", table->shape[0]);
  set("tie_word_embeddings", !has_tensor("output.weight"));
  // Converters that know no heads of other sizes leave it out. Networks that do not attend have 0.
  const std::vector<bool> attends = layers_with_tensor("attn_q.weight");
  const auto first = std::find(attends.begin(), attends.end(), true) - attends.begin();
  const tensor::TensorView* queries = checkpoint_.find(base::cat("blk.", first, ".attn_q.weight"));
  const base::Json* heads = config_.find("attention.head_count");
  const bool heads_differ = heads != nullptr && heads->is_array();
  const int n_heads = heads_differ ? 0 : config_.require_int("attention.head_count", 0, kMaxHeads);
  if (!config_.has("attention.head_count_kv")) set("num_key_value_heads", n_heads);
  if (!config_.has("attention.key_length") && queries != nullptr && queries->shape.n_dims() == 2 &&
      n_heads > 0)
    set("head_dim", queries->shape[0] / n_heads);
  for (const std::string_view name : {"first_k_dense_replace", "moe_layer_start_index"}) {
    if (values_.find(name) == nullptr) set(name, 0);
  }
}

void Members::read_biases() {
  const bool qkv = some_layer_has("attn_q.bias") || some_layer_has("attn_qkv.bias");
  const bool output = some_layer_has("attn_output.bias");
  set("qkv_bias", qkv).set("use_qkv_bias", qkv).set("attention_bias", qkv);
  set("attention_out_bias", output);
  set("mlp_bias", some_layer_has("ffn_down.bias"));
  set("use_bias", output);
  set("bias", output);
}

int Members::n_layers() const {
  return static_cast<int>(values_.find("num_hidden_layers")->as_int("block_count"));
}

std::vector<bool> Members::layers_with_tensor(std::string_view name) const {
  std::vector<bool> has;
  for (int i = 0; i < n_layers(); ++i) has.push_back(has_tensor(base::cat("blk.", i, ".", name)));
  return has;
}

bool Members::some_layer_has(std::string_view name) const {
  const std::vector<bool> has = layers_with_tensor(name);
  return std::find(has.begin(), has.end(), true) != has.end();
}

Members& Members::set(std::string_view name, base::Json value) {
  values_[name] = std::move(value);
  return *this;
}

Members& Members::copy(std::string_view key, std::string_view name) {
  if (const base::Json* value = config_.find(key)) values_[name] = *value;
  return leave({key});
}

Members& Members::leave(std::initializer_list<std::string_view> keys) {
  left_.insert(left_.end(), keys.begin(), keys.end());
  return *this;
}

Members& Members::layers_differ() {
  layers_differ_ = true;
  return *this;
}

std::vector<int> Members::each_layer(std::string_view key, std::int64_t min,
                                     std::int64_t max) const {
  const auto n = static_cast<std::size_t>(n_layers());
  const base::Json* value = config_.find(key);
  if (value == nullptr || !value->is_array())
    return std::vector<int>(n, config_.require_int(key, min, max));
  const base::JsonArray& items = *value->if_array();
  if (items.size() < n)
    config_.corrupt(key, "wrong length (expected ", n, ", got ", items.size(), ")");
  std::vector<int> sizes;
  for (std::size_t i = 0; i < n; ++i) {
    const bool* flag = items[i].if_bool();
    if (flag == nullptr && !items[i].is_number())
      config_.corrupt(key, "wrong element type (expected number, got ", items[i].type_name(), ")");
    const double size = flag != nullptr ? static_cast<double>(*flag) : items[i].as_double(key);
    if (!(size >= static_cast<double>(min) && size <= static_cast<double>(max)))
      config_.corrupt(key, "bad value (expected ", min, " to ", max, ", got ", size, ")");
    sizes.push_back(static_cast<int>(size));
  }
  return sizes;
}

std::vector<bool> Members::layers_with(std::string_view key, std::string_view name) {
  const auto n = static_cast<std::size_t>(n_layers());
  const base::Json* value = config_.find(key);
  std::vector<double> sizes;
  if (value != nullptr && value->is_array()) {
    sizes = *config_.numbers(key);
  } else {
    sizes.assign(n, config_.not_negative_or(key, 0.0));
  }
  if (sizes.size() < n)
    config_.corrupt(key, "wrong length (expected ", n, ", got ", sizes.size(), ")");
  sizes.resize(n);  // Layers that predict further tokens are not run.
  const double most = *std::max_element(sizes.begin(), sizes.end());
  std::vector<bool> has;
  for (const double size : sizes) {
    has.push_back(size != 0.0);
    if (size != 0.0 && size != most)
      config_.unsupported(key, "layers of different sizes are not supported");
  }
  set(name, static_cast<std::int64_t>(most));
  leave({key});
  return has;
}

void Members::refuse_unread() const {
  for (const Decisive& decisive : kDecisive) {
    const base::Json* value = config_.find(decisive.key);
    const bool is_read = std::find(left_.begin(), left_.end(), decisive.key) != left_.end();
    if (value == nullptr || is_read || is_neutral(*value, decisive.neutral)) continue;
    config_.unsupported(decisive.key, "not known of this architecture (expected ", decisive.neutral,
                        " or nothing)");
  }
  if (layers_differ_) return;
  for (const auto& [key, name] : {Pair{"attention.head_count", "num_attention_heads"},
                                  Pair{"attention.head_count_kv", "num_key_value_heads"}}) {
    const base::Json* sizes = values_.find(name);
    if (sizes != nullptr && sizes->is_array())
      config_.unsupported(key, "layers of different sizes are not supported");
  }
}

ModelSpec Members::read(const std::function<ModelSpec(const Config&)>& from_hf, Heads heads) const {
  refuse_unread();
  const Config config(values_, config_.where());
  ModelSpec spec = from_hf(config);
  check_scores(config_, spec);
  spec.max_positions = config_.int_or("context_length", spec.max_positions, 1, kMaxPositions);
  const SelfAttentionSpec* attention = first_attention(spec);
  if (attention == nullptr) return spec;
  const int head_dim = attention->head_dim;
  const int value_length = config_.int_or("attention.value_length", head_dim, 1, kMaxHeadDim);
  if (value_length != head_dim && !layers_differ_) {
    config_.unsupported("attention.value_length", "values of another size than keys (expected ",
                        head_dim, ", got ", value_length, ")");
  }
  if (spec.ropes.size() != 1) {
    for (device::RopeSpec& rope : spec.ropes) {
      if (heads == Heads::kPaired) rope.style = device::RopeStyle::kInterleaved;
    }
    return spec;
  }
  const device::RopeStyle style =
      heads == Heads::kPaired ? device::RopeStyle::kInterleaved : spec.ropes[0].style;
  RopeParameters rope = read_rope(config_, spec, style);
  read_long_factors(config_, checkpoint_, rope);
  spec.ropes.clear();
  add_rope(checkpoint_, rope, spec);
  return spec;
}

ModuleLayout layout_with(std::initializer_list<ModuleName> modules,
                         std::initializer_list<Role> absent) {
  ModuleLayout result = layout();
  std::erase_if(result.modules, [&](const ModuleName& known) {
    const auto is_known = [&](const ModuleName& other) { return other.role == known.role; };
    return std::any_of(modules.begin(), modules.end(), is_known) ||
           std::find(absent.begin(), absent.end(), known.role) != absent.end();
  });
  result.modules.insert(result.modules.end(), modules.begin(), modules.end());
  return result;
}

void add_experts(ModuleLayout& layout) {
  const std::vector<ModuleName> names = {
      {role::kRouter, "blk.#.ffn_gate_inp"},
      {role::kRouterCorrection, "blk.#.exp_probs_b.bias"},
      {role::kExpertGate, "blk.#.ffn_gate_exps"},
      {role::kExpertUp, "blk.#.ffn_up_exps"},
      {role::kExpertDown, "blk.#.ffn_down_exps"},
      {role::kSharedGate, "blk.#.ffn_gate_shexp"},
      {role::kSharedUp, "blk.#.ffn_up_shexp"},
      {role::kSharedDown, "blk.#.ffn_down_shexp"},
      {role::kSharedScore, "blk.#.ffn_gate_inp_shexp"},
  };
  layout.modules.insert(layout.modules.end(), names.begin(), names.end());
}

}  // namespace openllm::model::gguf
