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

void read_heads(const Config& config, const Defaults& defaults, DecoderSpec& spec) {
  spec.n_heads = read_size(config, "num_attention_heads", defaults.n_heads, kMaxHeads);
  const int kv_default = defaults.n_kv_heads == 0 ? spec.n_heads : defaults.n_kv_heads;
  // A null means n_heads whatever the family's default is.
  const bool is_null = config.mentions("num_key_value_heads");
  spec.n_kv_heads =
      config.int_or("num_key_value_heads", is_null ? spec.n_heads : kv_default, 1, kMaxHeads);
  if (spec.n_heads % spec.n_kv_heads != 0) {
    config.corrupt("num_key_value_heads",
                   "does not divide num_attention_heads (expected a divisor of ", spec.n_heads,
                   ", got ", spec.n_kv_heads, ")");
  }
  const std::optional<int> head_dim = config.find_int("head_dim", 1, kMaxHeadDim);
  if (head_dim) {
    spec.head_dim = *head_dim;
  } else if (defaults.head_dim > 0) {
    spec.head_dim = defaults.head_dim;
  } else {
    if (spec.dim % spec.n_heads != 0) {
      config.corrupt("num_attention_heads", "does not divide hidden_size (expected a divisor of ",
                     spec.dim, ", got ", spec.n_heads, ")");
    }
    spec.head_dim = spec.dim / spec.n_heads;
  }
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

DecoderSpec read_llama_like(const Config& config, const Defaults& defaults) {
  refuse_unsupported(config);
  DecoderSpec spec;
  spec.vocab_size = read_size(config, "vocab_size", defaults.vocab_size, kMaxVocab);
  spec.dim = read_size(config, "hidden_size", defaults.hidden_size, kMaxDim);
  spec.n_layers = read_size(config, "num_hidden_layers", defaults.n_layers, kMaxLayers);
  spec.ffn_dim = read_size(config, "intermediate_size", defaults.ffn_dim, kMaxFfnDim);
  spec.max_positions =
      config.int_or("max_position_embeddings", defaults.max_positions, 1, kMaxPositions);
  read_heads(config, defaults, spec);
  spec.norm.kind = device::NormKind::kRms;
  spec.norm.eps = static_cast<float>(config.not_negative_or("rms_norm_eps", defaults.norm_eps));
  spec.ffn = Ffn::kGated;
  spec.activation = read_activation(config, defaults.activation_key, defaults.activation);
  spec.tied_embeddings = config.bool_or("tie_word_embeddings", defaults.tied);
  spec.attention_scale = 1.0F / std::sqrt(static_cast<float>(spec.head_dim));
  spec.layers.assign(static_cast<std::size_t>(spec.n_layers), LayerSpec{});
  return spec;
}

int add_rope(DecoderSpec& spec, const RopeParameters& parameters) {
  Rope rope = make_rope(parameters);
  spec.ropes.push_back(std::move(rope.spec));
  spec.rope_growth.push_back(std::move(rope.growth));
  return static_cast<int>(spec.ropes.size()) - 1;
}

void require_even_head_dim(const Config& config, const DecoderSpec& spec) {
  if (spec.head_dim % 2 == 0) return;
  config.unsupported("head_dim", "RoPE needs an even number of dimensions (got ", spec.head_dim,
                     ")");
}

void read_single_rope(const Config& config, DecoderSpec& spec) {
  require_even_head_dim(config, spec);
  RopeContext context;
  context.head_dim = spec.head_dim;
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
  const double theta = config.positive_or("rope_theta", 10000.0);
  const RopeParameters parameters = read_rope(rope ? &*rope : nullptr, theta, context);
  add_rope(spec, parameters);
  spec.max_positions = scaled_positions(parameters, spec.max_positions);
}

std::optional<int> read_window(const Config& config, int when_absent) {
  if (!config.mentions("sliding_window")) return when_absent;
  return config.find_int("sliding_window", 1, kMaxPositions);
}

void read_layer_types(const Config& config, DecoderSpec& spec, std::optional<int> window,
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
    spec.layers[i].set_window(*window);
  }
}

device::Activation read_activation(const Config& config, std::string_view key,
                                   std::string_view otherwise) {
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
  const std::string name = config.string_or(key, otherwise);
  for (const auto& [known, activation] : kNames) {
    if (name == known) return activation;
  }
  config.unsupported(key, "unknown activation (expected silu, gelu, gelu_new, gelu_pytorch_tanh, ",
                     "quick_gelu, relu, relu2 or tanh; got ", name, ")");
}

void refuse_unsupported(const Config& config) {
  if (config.has("quantization_config")) {
    config.unsupported("quantization_config",
                       "quantised safetensors are not supported (use GGUF or unquantised weights)");
  }
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

TensorLayout llama_layout() {
  TensorLayout layout;
  layout.names = {
      {Slot::kEmbedding, "embed_tokens.weight"},
      {Slot::kFinalNorm, "norm.weight"},
      {Slot::kOutput, "lm_head.weight"},
      {Slot::kAttentionNorm, "layers.#.input_layernorm.weight"},
      {Slot::kQ, "layers.#.self_attn.q_proj.weight"},
      {Slot::kK, "layers.#.self_attn.k_proj.weight"},
      {Slot::kV, "layers.#.self_attn.v_proj.weight"},
      {Slot::kQBias, "layers.#.self_attn.q_proj.bias"},
      {Slot::kKBias, "layers.#.self_attn.k_proj.bias"},
      {Slot::kVBias, "layers.#.self_attn.v_proj.bias"},
      {Slot::kAttentionOutput, "layers.#.self_attn.o_proj.weight"},
      {Slot::kAttentionOutputBias, "layers.#.self_attn.o_proj.bias"},
      {Slot::kFfnNorm, "layers.#.post_attention_layernorm.weight"},
      {Slot::kGate, "layers.#.mlp.gate_proj.weight"},
      {Slot::kUp, "layers.#.mlp.up_proj.weight"},
      {Slot::kDown, "layers.#.mlp.down_proj.weight"},
      {Slot::kGateBias, "layers.#.mlp.gate_proj.bias"},
      {Slot::kUpBias, "layers.#.mlp.up_proj.bias"},
      {Slot::kDownBias, "layers.#.mlp.down_proj.bias"},
  };
  layout.prefixes = {"model.", ""};
  layout.ignored = {"layers.#.self_attn.rotary_emb.inv_freq", "rotary_emb.inv_freq"};
  return layout;
}

void add_qk_norms(TensorLayout& layout) {
  layout.names.push_back({Slot::kQNorm, "layers.#.self_attn.q_norm.weight"});
  layout.names.push_back({Slot::kKNorm, "layers.#.self_attn.k_norm.weight"});
}

}  // namespace openllm::model::hf
