// MiMo-V2-Flash: heads of keys that are larger than those of values, sinks and twice as many heads
// of keys and values on windowed layers, RoPE on a third of each head with a base for each kind of
// layer, mixtures as DeepSeek-V3 without shared experts. Source: transformers models/mimo_v2_flash.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

void read_ropes(const Config& config, ModelSpec& spec) {
  RopeContext context;
  context.head_dim = attention_of(spec, 0).head_dim;
  context.max_positions = spec.max_positions;
  context.may_be_partial = true;
  context.partial_rotary_factor = 0.334;
  const std::optional<Config> nested = config.object("rope_parameters");
  const auto rope_of = [&](std::string_view type, double theta) {
    const std::optional<Config> own = nested ? nested->object(type) : std::nullopt;
    return hf::add_rope(spec, read_rope(own ? &*own : nullptr, theta, context));
  };
  const int full = rope_of("full_attention", 5000000.0);
  const int windowed = rope_of("sliding_attention", 10000.0);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.rope = attention.window > 0 ? windowed : full;
  });
}

void read_attention(const Config& config, ModelSpec& spec) {
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back(i != 0 && (i + 1) % 6 != 0);
  int window = hf::read_window(config, 129).value_or(0);
  // An older name leaves the own position out.
  if (config.has("sliding_window_size"))
    window = config.require_int("sliding_window_size", 1, kMaxPositions) + 1;
  hf::read_layer_types(config, spec, window, windowed);
  const int value_dim = config.int_or("v_head_dim", 128, 1, kMaxHeadDim);
  const auto scale = static_cast<float>(config.mentions("attention_value_scale") &&
                                                !config.has("attention_value_scale")
                                            ? 1.0
                                            : config.positive_or("attention_value_scale", 0.707));
  const bool bias = config.bool_or("attention_bias", false);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.value_dim = value_dim;
    attention.value_scale = scale;
    attention.bias = bias;
    if (attention.window == 0) return;
    attention.sinks = true;
    attention.n_kv_heads *= 2;
    if (attention.n_heads % attention.n_kv_heads != 0) {
      config.corrupt("num_key_value_heads", "twice of them do not divide num_attention_heads (got ",
                     attention.n_kv_heads, " and ", attention.n_heads, ")");
    }
  });
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 152576,
                                                .n_layers = 48,
                                                .n_heads = 64,
                                                .n_kv_heads = 4,
                                                .head_dim = 192,
                                                .ffn_dim = 16384,
                                                .max_positions = 131072,
                                                .norm_eps = 1e-5});
  read_attention(config, spec);
  read_ropes(config, spec);
  MoeFfnSpec moe = hf::read_moe(
      config, spec, {.n_experts_key = "n_routed_experts", .n_experts = 256, .ffn_dim = 2048});
  hf::read_sigmoid_router(config, moe, 1.0, 1, 1, true);
  hf::place_moe_by_type(config, spec, moe, 0, 1);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_experts(layout);
  layout.modules.push_back({role::kSinks, "layers.#.self_attn.sinks"});
  layout.modules.push_back({role::kSinks, "layers.#.self_attn.attention_sink_bias"});
  layout.ignored.push_back("mtp.*");  // predicts tokens further ahead
  return layout;
}

}  // namespace

Family mimo_v2_flash_family() {
  return {"mimo_v2_flash", {"mimo_v2_flash"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
