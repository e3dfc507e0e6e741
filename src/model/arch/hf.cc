// What the Hugging Face configurations of several families have in common. Source: transformers 5,
// configuration_utils.py, modeling_rope_utils.py and the families' configuration_*.py.

#include "model/arch/hf.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace openllm::model::hf {
namespace {

SelfAttentionSpec read_heads(const Config& config, const Defaults& defaults, int dim) {
  SelfAttentionSpec heads;
  heads.n_heads = read_size(config, "num_attention_heads", defaults.n_heads, kMaxHeads);
  const int kv_default = defaults.n_kv_heads == 0 ? heads.n_heads : defaults.n_kv_heads;
  // A null means n_heads whatever the family's default is.
  const bool is_null = config.mentions("num_key_value_heads");
  heads.n_kv_heads =
      config.int_or("num_key_value_heads", is_null ? heads.n_heads : kv_default, 1, kMaxHeads);
  if (heads.n_heads % heads.n_kv_heads != 0) {
    config.corrupt("num_key_value_heads",
                   "does not divide num_attention_heads (expected a divisor of ", heads.n_heads,
                   ", got ", heads.n_kv_heads, ")");
  }
  const std::optional<int> head_dim =
      defaults.ignores_head_dim ? std::nullopt : config.find_int("head_dim", 1, kMaxHeadDim);
  if (head_dim) {
    heads.head_dim = *head_dim;
  } else if (defaults.head_dim > 0) {
    heads.head_dim = defaults.head_dim;
  } else {
    if (dim % heads.n_heads != 0) {
      config.corrupt("num_attention_heads", "does not divide hidden_size (expected a divisor of ",
                     dim, ", got ", heads.n_heads, ")");
    }
    heads.head_dim = dim / heads.n_heads;
  }
  heads.scale = 1.0F / std::sqrt(static_cast<float>(heads.head_dim));
  return heads;
}

/// How many positions a model of `max_positions` has with its rope. max_position_embeddings is the
/// length before the scaling for linear and dynamic; with yarn some files say the one, some the
/// other.
int scaled_positions(const RopeParameters& rope, int max_positions) {
  double positions = max_positions;
  if (rope.type == RopeParameters::Type::kLinear || rope.type == RopeParameters::Type::kDynamic) {
    positions *= rope.factor;
  } else if (rope.type == RopeParameters::Type::kYarn) {
    positions = std::max(positions, rope.original_positions * rope.factor);
  }
  return static_cast<int>(std::clamp(positions, 1.0, static_cast<double>(kMaxPositions)));
}

}  // namespace

int read_size(const Config& config, std::string_view key, int otherwise, std::int64_t max) {
  return config.mentions(key) ? config.require_int(key, 1, max) : otherwise;
}

ModelSpec read_llama_like(const Config& config, const Defaults& defaults) {
  refuse_unsupported(config);
  ModelSpec spec;
  spec.vocab_size = read_size(config, "vocab_size", defaults.vocab_size, kMaxVocab);
  spec.dim = read_size(config, "hidden_size", defaults.hidden_size, kMaxDim);
  const int n_layers = read_size(config, "num_hidden_layers", defaults.n_layers, kMaxLayers);
  DenseFfnSpec ffn;
  ffn.ffn_dim = read_size(config, "intermediate_size", defaults.ffn_dim, kMaxFfnDim);
  spec.max_positions =
      config.int_or("max_position_embeddings", defaults.max_positions, 1, kMaxPositions);
  const SelfAttentionSpec attention = read_heads(config, defaults, spec.dim);
  spec.norm.kind = device::NormKind::kRms;
  spec.norm.eps = static_cast<float>(config.not_negative_or("rms_norm_eps", defaults.norm_eps));
  ffn.activation = read_activation(config, defaults.activation_key, defaults.activation);
  spec.head.emplace();
  spec.head->tied = config.bool_or("tie_word_embeddings", defaults.tied);
  spec.layers.assign(static_cast<std::size_t>(n_layers), LayerSpec{attention, {}, ffn, {}});
  return spec;
}

int add_rope(ModelSpec& spec, const RopeParameters& parameters) {
  spec.ropes.push_back(make_rope(parameters));
  return static_cast<int>(spec.ropes.size()) - 1;
}

void require_even_head_dim(const Config& config, int head_dim) {
  if (head_dim % 2 == 0) return;
  config.unsupported("head_dim", "RoPE needs an even number of dimensions (got ", head_dim, ")");
}

void read_single_rope(const Config& config, ModelSpec& spec, double default_theta) {
  const int head_dim = attention_of(spec, 0).head_dim;
  require_even_head_dim(config, head_dim);
  RopeContext context;
  context.head_dim = head_dim;
  context.max_positions = spec.max_positions;
  context.original_positions =
      config.int_or("original_max_position_embeddings", 0, 1, kMaxPositions);
  context.partial_rotary_factor = config.positive_or("partial_rotary_factor", 1.0);
  // transformers lets a non-empty rope_scaling win over rope_parameters.
  std::optional<Config> rope = config.object("rope_scaling");
  if (!rope || rope->empty()) rope = config.object("rope_parameters");
  if (rope && (rope->has("full_attention") || rope->has("sliding_attention"))) {
    config.unsupported("rope_parameters", "different RoPE per layer type in this architecture");
  }
  const double theta = config.positive_or("rope_theta", default_theta);
  const RopeParameters parameters = read_rope(rope ? &*rope : nullptr, theta, context);
  const int index = add_rope(spec, parameters);
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.rope = index; });
  spec.max_positions = scaled_positions(parameters, spec.max_positions);
}

std::optional<int> read_window(const Config& config, int when_absent) {
  if (!config.mentions("sliding_window")) return when_absent;
  return config.find_int("sliding_window", 1, kMaxPositions);
}

void read_layer_types(const Config& config, ModelSpec& spec, std::optional<int> window,
                      const std::vector<bool>& is_windowed) {
  std::vector<bool> windowed = is_windowed;
  if (const auto types = config.strings("layer_types")) {
    if (types->size() != spec.layers.size()) {
      config.corrupt("layer_types", "wrong length (expected ", spec.layers.size(), ", got ",
                     types->size(), ")");
    }
    windowed.clear();
    for (const std::string& type : *types) {
      // "attention" is an older name of full attention.
      const bool is_full = type == "full_attention" || type == "attention";
      if (!is_full && type != "sliding_attention") {
        config.unsupported("layer_types", "unknown layer type (expected full_attention or ",
                           "sliding_attention, got ", type, ")");
      }
      windowed.push_back(!is_full);
    }
  }
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (!windowed[i]) continue;
    if (!window) {
      config.corrupt("sliding_window", "missing although layer ", i, " needs it");
    }
    attention_of(spec, static_cast<int>(i)).window = *window;
  }
}

void read_attention_bias(const Config& config, ModelSpec& spec) {
  const bool bias = config.bool_or("attention_bias", false);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.bias = bias;
    attention.output_bias = bias;
  });
}

device::Activation read_activation(const Config& config, std::string_view key,
                                   std::string_view otherwise) {
  return activation_named(config, key, config.string_or(key, otherwise));
}

device::Activation activation_named(const Config& config, std::string_view key,
                                    std::string_view name) {
  using device::Activation;
  // Several names are one function computed in different ways.
  constexpr std::array<std::pair<std::string_view, Activation>, 14> kNames{{
      {"silu", Activation::kSilu},
      {"swish", Activation::kSilu},
      {"gelu", Activation::kGelu},
      {"gelu_python", Activation::kGelu},
      {"gelu_new", Activation::kGeluTanh},
      {"gelu_fast", Activation::kGeluTanh},
      {"gelu_accurate", Activation::kGeluTanh},
      {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"gelu_python_tanh", Activation::kGeluTanh},
      {"gelu_tanh", Activation::kGeluTanh},
      {"quick_gelu", Activation::kQuickGelu},
      {"relu", Activation::kRelu},
      {"relu2", Activation::kReluSquared},
      {"tanh", Activation::kTanh},
  }};
  for (const auto& [known, activation] : kNames) {
    if (name == known) return activation;
  }
  config.unsupported(key, "unknown activation (expected silu, gelu, gelu_new, gelu_pytorch_tanh, ",
                     "quick_gelu, relu, relu2 or tanh; got ", name, ")");
}

void refuse_unsupported(const Config& config) {
  if (config.has("per_layer_config")) {
    config.unsupported("per_layer_config", "layers of different sizes are not supported");
  }
  if (!config.bool_or("is_causal", true)) {
    config.unsupported("is_causal", "only causal attention is supported");
  }
  if (config.bool_or("use_bidirectional_attention", false)) {
    config.unsupported("use_bidirectional_attention", "only causal attention is supported");
  }
}

ModuleLayout llama_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embed_tokens"},
      {role::kFinalNorm, "norm"},
      {role::kHead, "lm_head", true},
      {role::kMixerNorm, "layers.#.input_layernorm"},
      {role::kQ, "layers.#.self_attn.q_proj"},
      {role::kK, "layers.#.self_attn.k_proj"},
      {role::kV, "layers.#.self_attn.v_proj"},
      {role::kAttentionOutput, "layers.#.self_attn.o_proj"},
      {role::kFfnNorm, "layers.#.post_attention_layernorm"},
      {role::kGate, "layers.#.mlp.gate_proj"},
      {role::kUp, "layers.#.mlp.up_proj"},
      {role::kDown, "layers.#.mlp.down_proj"},
  };
  layout.prefixes = {"model.", ""};
  layout.ignored = {"layers.#.self_attn.rotary_emb.inv_freq", "rotary_emb.inv_freq"};
  return layout;
}

void remove_ffn(ModuleLayout& layout) {
  std::erase_if(layout.modules, [](const ModuleName& name) {
    return name.role == role::kGate || name.role == role::kUp || name.role == role::kDown;
  });
}

void add_qk_norms(ModuleLayout& layout) {
  layout.modules.push_back({role::kQNorm, "layers.#.self_attn.q_norm"});
  layout.modules.push_back({role::kKNorm, "layers.#.self_attn.k_norm"});
}

}  // namespace openllm::model::hf
