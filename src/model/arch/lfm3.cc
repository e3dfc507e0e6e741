// LFM3: LFM2 with norms behind its parts too, attention with a gate for each head, of which some
// layers have a window and a RoPE of their own. Source: transformers models/lfm3.

#include "model/arch/family.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

/// What a file without ropes has.
RopeParameters default_rope(const ModelSpec& spec, bool windowed) {
  RopeParameters rope;
  rope.head_dim = attention_of(spec, 0).head_dim;
  rope.n_rotary = rope.head_dim;
  rope.max_positions = spec.max_positions;
  if (windowed) return rope;
  rope.type = RopeParameters::Type::kProportional;
  rope.theta = 1000000.0;
  rope.proportion = 0.5;
  return rope;
}

int read_rope_of(const Config& config, std::string_view type, ModelSpec& spec) {
  RopeContext context;
  context.head_dim = attention_of(spec, 0).head_dim;
  context.max_positions = spec.max_positions;
  const std::optional<Config> nested = config.object("rope_parameters");
  const std::optional<Config> own = nested ? nested->object(type) : std::nullopt;
  if (!own) return hf::add_rope(spec, default_rope(spec, type == "sliding_attention"));
  return hf::add_rope(spec, read_rope(&*own, 10000.0, context));
}

void read_mixers(const Config& config, ModelSpec& spec) {
  hf::require_even_head_dim(config, attention_of(spec, 0).head_dim);
  const int full = read_rope_of(config, "full_attention", spec);
  const int windowed = read_rope_of(config, "sliding_attention", spec);
  const bool gate = config.bool_or("use_attention_gate", true);
  const int window = config.int_or("sliding_window", 256, 1, kMaxPositions);
  hf::read_attention_bias(config, spec);
  std::vector<bool> is_conv;
  std::vector<bool> has_window;
  for (int i = 0; i < spec.n_layers(); ++i) {
    has_window.push_back(i % 4 == 0 && i > 0);
    is_conv.push_back(i % 4 != 2 && !has_window.back());
  }
  hf::read_kinds(config, "layer_types", {"conv"}, {"full_attention", "sliding_attention"}, is_conv);
  hf::read_kinds(config, "layer_types", {"sliding_attention"}, {"full_attention", "conv"},
                 has_window);
  GatedConvSpec conv;
  conv.n_taps = config.int_or("conv_L_cache", 7, 1, hf::kMaxConvTaps);
  conv.bias = config.bool_or("conv_bias", false);
  for (int i = 0; i < spec.n_layers(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    SelfAttentionSpec& attention = attention_of(spec, i);
    attention.qk_norm = QkNorm::kHead;
    attention.output_gate = gate;
    attention.gate_of_heads = gate;
    attention.window = has_window[at] ? window : 0;
    attention.rope = has_window[at] ? windowed : full;
    if (is_conv[at]) spec.layers[at].mixer = conv;
  }
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 128000,
                                                .hidden_size = 2048,
                                                .n_layers = 24,
                                                .n_heads = 16,
                                                .n_kv_heads = 4,
                                                .head_dim = 128,
                                                .ffn_dim = 7680,
                                                .max_positions = 128000,
                                                .tied = true});
  spec.norm.eps = static_cast<float>(config.not_negative_or("norm_eps", 1e-5));
  each_ffn(spec, [](DenseFfnSpec& ffn) { ffn.activation = device::Activation::kSilu; });
  read_mixers(config, spec);
  const bool sandwich = config.bool_or("use_sandwich_norm", true);
  for (LayerSpec& layer : spec.layers) layer.residual.norm_after = sandwich;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::add_qk_norms(layout);
  hf::rename(layout, role::kFinalNorm, "embedding_norm");
  hf::rename(layout, role::kMixerNorm, "layers.#.operator_norm");
  hf::rename(layout, role::kFfnNorm, "layers.#.ffn_norm");
  hf::rename(layout, role::kGate, "layers.#.feed_forward.w1");
  hf::rename(layout, role::kUp, "layers.#.feed_forward.w3");
  hf::rename(layout, role::kDown, "layers.#.feed_forward.w2");
  hf::add(layout, {{role::kMixerPostNorm, "layers.#.post_operator_norm"},
                   {role::kFfnPostNorm, "layers.#.post_ffn_norm"},
                   {role::kAttentionGate, "layers.#.self_attn.g_proj"},
                   {role::kAttentionGate, "layers.#.self_attn.gate_proj"},
                   {role::kConvInput, "layers.#.conv.in_proj"},
                   {role::kConvTaps, "layers.#.conv.conv"},
                   {role::kConvOutput, "layers.#.conv.out_proj"}});
  return layout;
}

}  // namespace

Family lfm3_family() { return {"lfm3", {"lfm3"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
