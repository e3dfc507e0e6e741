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

std::string_view name_of(const Config& config, std::string_view general, std::string_view own) {
  return own.empty() ? general : config.first_of({general, own});
}

SelfAttentionSpec read_heads(const Config& config, const Defaults& defaults, int dim) {
  SelfAttentionSpec heads;
  const std::string_view heads_key = name_of(config, "num_attention_heads", defaults.names.n_heads);
  const std::string_view kv_key = name_of(config, "num_key_value_heads", defaults.names.n_kv_heads);
  heads.n_heads = read_size(config, heads_key, defaults.n_heads, kMaxHeads);
  const int kv_default = defaults.n_kv_heads == 0 ? heads.n_heads : defaults.n_kv_heads;
  // A null means n_heads whatever the family's default is.
  const bool is_null = config.mentions(kv_key);
  heads.n_kv_heads = config.int_or(kv_key, is_null ? heads.n_heads : kv_default, 1, kMaxHeads);
  if (heads.n_heads % heads.n_kv_heads != 0) {
    config.corrupt(kv_key, "does not divide num_attention_heads (expected a divisor of ",
                   heads.n_heads, ", got ", heads.n_kv_heads, ")");
  }
  const std::optional<int> head_dim =
      defaults.ignores_head_dim ? std::nullopt : config.find_int("head_dim", 1, kMaxHeadDim);
  if (head_dim) {
    heads.head_dim = *head_dim;
  } else if (defaults.head_dim > 0) {
    heads.head_dim = defaults.head_dim;
  } else {
    if (dim % heads.n_heads != 0) {
      config.corrupt(heads_key, "does not divide hidden_size (expected a divisor of ", dim,
                     ", got ", heads.n_heads, ")");
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

void refuse_layer_config(const Config& config) {
  if (config.has("per_layer_config")) {
    config.unsupported("per_layer_config", "layers of different sizes are not supported");
  }
}

/// `is_causal` is for whoever takes the spec: every network of plain attention may see everything.
void refuse_directions(const Config& config) {
  constexpr std::string_view kKey = "use_bidirectional_attention";
  const base::Json* both = config.find(kKey);
  // Text alone is causal with "vision".
  if (both != nullptr && both->if_string() != nullptr && *both->if_string() == "vision") return;
  if (config.bool_or(kKey, false)) config.unsupported(kKey, "only causal attention is supported");
}

}  // namespace

int read_size(const Config& config, std::string_view key, int otherwise, std::int64_t max) {
  return config.mentions(key) ? config.require_int(key, 1, max) : otherwise;
}

ModelSpec read_llama_like(const Config& config, const Defaults& defaults) {
  if (!defaults.reads_layer_config) refuse_layer_config(config);
  refuse_directions(config);
  ModelSpec spec;
  spec.vocab_size = read_size(config, "vocab_size", defaults.vocab_size, kMaxVocab);
  const OwnNames& names = defaults.names;
  spec.dim = read_size(config, name_of(config, "hidden_size", names.hidden_size),
                       defaults.hidden_size, kMaxDim);
  const int n_layers = read_size(config, name_of(config, "num_hidden_layers", names.n_layers),
                                 defaults.n_layers, kMaxLayers);
  DenseFfnSpec ffn;
  const std::string_view ffn_key = name_of(config, "intermediate_size", names.ffn_dim);
  if (defaults.reads_ffn_dim) {
    ffn.ffn_dim = defaults.ffn_dim;
  } else if (defaults.ffn_dim > 0) {
    ffn.ffn_dim = read_size(config, ffn_key, defaults.ffn_dim, kMaxFfnDim);
  } else {
    ffn.ffn_dim = config.int_or(ffn_key, std::int64_t{4} * spec.dim, 1, kMaxFfnDim);
  }
  spec.max_positions =
      config.int_or(name_of(config, "max_position_embeddings", names.max_positions),
                    defaults.max_positions, 1, kMaxPositions);
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

bool is_classifier(const Config& config) {
  const auto names = config.strings("architectures").value_or(std::vector<std::string>());
  return !names.empty() && names[0].ends_with("ForSequenceClassification");
}

int read_n_labels(const Config& config) {
  if (const std::optional<Config> labels = config.object("id2label"); labels && !labels->empty()) {
    const std::size_t n = labels->members().size();
    if (n > kMaxVocab) config.corrupt("id2label", "too many classes (got ", n, ")");
    return static_cast<int>(n);
  }
  return config.int_or("num_labels", 2, 1, kMaxVocab);
}

PooledHeadSpec read_classifier(const Config& config, const ClassifierReading& reading) {
  PooledHeadSpec head;
  head.pooling = reading.pooling;
  head.n_labels = read_n_labels(config);
  if (reading.has_pooler)
    head.layers.push_back({role::kPooler, 0, reading.bias, {}, reading.activation});
  head.layers.push_back({role::kClassifier, head.n_labels, reading.bias, {}, {}});
  return head;
}

void make_classifier(const Config& config, ModelSpec& spec, ModuleLayout& layout) {
  spec.head.reset();
  spec.pooled_head =
      read_classifier(config, {.pooling = RowPooling::kLast, .has_pooler = false, .bias = false});
  layout.modules.push_back({role::kClassifier, "score", true});
}

void use_bert_layers(const Config& config, ModelSpec& spec, double eps) {
  if (config.bool_or("add_cross_attention", false)) {
    config.unsupported("add_cross_attention", "cross attention is not supported");
  }
  const bool is_decoder = config.bool_or("is_decoder", false);
  if (is_decoder && is_classifier(config))
    config.unsupported("is_decoder", "classifiers are encoders (expected false, got true)");
  if (is_decoder) {
    spec.head->tied = config.bool_or("tie_word_embeddings", true);
    spec.head->bias = true;
  } else {
    spec.head.reset();
  }
  use_layer_norm(config, spec, "layer_norm_eps", eps);
  spec.embedding.has_norm = true;
  spec.has_final_norm = false;
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.sees_all = !is_decoder; });
  set_attention_biases(spec, true, true);
  use_plain_ffn(spec, true);
  for (LayerSpec& layer : spec.layers) {
    layer.residual.norm_before = false;
    layer.residual.norm_sum = true;
  }
}

void use_norms_before(ModelSpec& spec) {
  spec.embedding.has_norm = false;
  spec.has_final_norm = true;
  for (LayerSpec& layer : spec.layers) {
    layer.residual.norm_before = true;
    layer.residual.norm_sum = false;
  }
}

void use_bert_head(ModelSpec& spec, device::Activation activation) {
  if (spec.head) spec.head->transform = HeadTransformSpec{activation};
}

void add_bert_head(ModuleLayout& layout) {
  const std::vector<ModuleName> names = {
      {role::kHeadInput, "cls.predictions.transform.dense", true},
      {role::kHeadNorm, "cls.predictions.transform.LayerNorm", true},
      {role::kHead, "cls.predictions.decoder", true},
      {role::kHeadBias, "cls.predictions.decoder.bias", true},
      {role::kHeadBias, "cls.predictions.bias", true},
  };
  layout.modules.insert(layout.modules.end(), names.begin(), names.end());
}

void add_roberta_head(ModuleLayout& layout) {
  const std::vector<ModuleName> names = {
      {role::kHeadInput, "lm_head.dense", true}, {role::kHeadNorm, "lm_head.layer_norm", true},
      {role::kHead, "lm_head.decoder", true},    {role::kHeadBias, "lm_head.decoder.bias", true},
      {role::kHeadBias, "lm_head.bias", true},
  };
  layout.modules.insert(layout.modules.end(), names.begin(), names.end());
}

void begin_positions_behind_padding(const Config& config, ModelSpec& spec, int padding) {
  if (padding + 2 > spec.max_positions) {
    config.corrupt("max_position_embeddings",
                   "has no row behind the padding's (expected more than ", padding + 1, ", got ",
                   spec.max_positions, ")");
  }
  spec.embedding.n_positions = spec.max_positions;
  spec.embedding.position_offset = padding + 1;
  spec.max_positions -= padding + 1;
}

std::vector<ModuleName> bert_modules() {
  return {
      {role::kEmbedding, "embeddings.word_embeddings"},
      {role::kEmbeddingNorm, "embeddings.LayerNorm"},
      {role::kQ, "encoder.layer.#.attention.self.query"},
      {role::kK, "encoder.layer.#.attention.self.key"},
      {role::kV, "encoder.layer.#.attention.self.value"},
      {role::kAttentionOutput, "encoder.layer.#.attention.output.dense"},
      {role::kMixerPostNorm, "encoder.layer.#.attention.output.LayerNorm"},
      {role::kUp, "encoder.layer.#.intermediate.dense"},
      {role::kDown, "encoder.layer.#.output.dense"},
      {role::kFfnPostNorm, "encoder.layer.#.output.LayerNorm"},
  };
}

void use_norms_after(ModelSpec& spec) {
  for (LayerSpec& layer : spec.layers) {
    layer.residual.norm_before = false;
    layer.residual.norm_after = true;
  }
}

void read_granite_multipliers(const Config& config, ModelSpec& spec) {
  const auto factor = [&](std::string_view key) {
    return static_cast<float>(config.positive_or(key, 1.0));
  };
  spec.embedding.scale = factor("embedding_multiplier");
  spec.head->scale = 1.0F / factor("logits_scaling");
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.scale = factor("attention_multiplier");
  });
  for (LayerSpec& layer : spec.layers) layer.residual.scale = factor("residual_multiplier");
}

void use_layer_norm(const Config& config, ModelSpec& spec, std::string_view eps_key, double eps) {
  spec.norm.kind = device::NormKind::kLayer;
  spec.norm.eps = static_cast<float>(config.not_negative_or(eps_key, eps));
}

void use_plain_ffn(ModelSpec& spec, bool bias) {
  each_ffn(spec, [&](DenseFfnSpec& ffn) {
    ffn.gated = false;
    ffn.bias = bias;
  });
}

void set_attention_biases(ModelSpec& spec, bool qkv, bool output) {
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.bias = qkv;
    attention.output_bias = output;
  });
}

void require_even_head_dim(const Config& config, int head_dim) {
  if (head_dim % 2 == 0) return;
  config.unsupported("head_dim", "RoPE needs an even number of dimensions (got ", head_dim, ")");
}

void read_single_rope(const Config& config, ModelSpec& spec, const RopeReading& reading) {
  const int head_dim = attention_of(spec, 0).head_dim;
  require_even_head_dim(config, head_dim);
  RopeContext context;
  context.head_dim = head_dim;
  context.max_positions = spec.max_positions;
  context.original_positions =
      config.int_or("original_max_position_embeddings", 0, 1, kMaxPositions);
  context.may_be_partial = reading.partial.has_value();
  context.partial_rotary_factor =
      config.positive_or(reading.partial_key, reading.partial.value_or(1.0));
  // transformers lets a non-empty rope_scaling win over rope_parameters.
  std::optional<Config> rope = config.object("rope_scaling");
  if (!rope || rope->empty()) rope = config.object("rope_parameters");
  if (rope && (rope->has("full_attention") || rope->has("sliding_attention"))) {
    config.unsupported("rope_parameters", "different RoPE per layer type in this architecture");
  }
  const double theta = config.positive_or(reading.theta_key, reading.theta);
  RopeParameters parameters = read_rope(rope ? &*rope : nullptr, theta, context);
  parameters.style = reading.style;
  const int index = add_rope(spec, parameters);
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.rope = index; });
  spec.max_positions = scaled_positions(parameters, spec.max_positions);
}

bool names_rope(const Config& config) {
  for (const std::string_view key : {"rope_scaling", "rope_parameters"}) {
    const std::optional<Config> rope = config.object(key);
    if (rope && !rope->empty()) return true;
  }
  return false;
}

void use_rope(const Config& config, ModelSpec& spec, RopeParameters parameters) {
  parameters.head_dim = attention_of(spec, 0).head_dim;
  parameters.n_rotary = parameters.head_dim;
  parameters.max_positions = spec.max_positions;
  require_even_head_dim(config, parameters.head_dim);
  const int index = add_rope(spec, parameters);
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.rope = index; });
}

void read_ropes_by_type(const Config& config, ModelSpec& spec, const RopeReading& reading) {
  const int head_dim = attention_of(spec, 0).head_dim;
  require_even_head_dim(config, head_dim);
  RopeContext context;
  context.head_dim = head_dim;
  context.max_positions = spec.max_positions;
  context.original_positions =
      config.int_or("original_max_position_embeddings", 0, 1, kMaxPositions);
  const std::optional<Config> nested = config.object("rope_parameters");
  // rope_scaling is for full layers, and so is a rope_theta beside it.
  const auto of_type = [&](std::string_view type, double theta, std::optional<Config> own) {
    if (!own && nested) own = nested->object(type);
    RopeParameters parameters = read_rope(own ? &*own : nullptr, theta, context);
    parameters.style = reading.style;
    return parameters;
  };
  const RopeParameters full =
      of_type("full_attention", config.positive_or(reading.theta_key, reading.theta),
              config.object("rope_scaling"));
  const int full_index = add_rope(spec, full);
  const int windowed_index = add_rope(spec, of_type("sliding_attention", reading.theta, {}));
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.rope = attention.window > 0 ? windowed_index : full_index;
  });
  spec.max_positions = scaled_positions(full, spec.max_positions);
}

void read_alpha_rope(const Config& config, ModelSpec& spec) {
  std::optional<Config> rope = config.object("rope_scaling");
  if (!rope || rope->empty()) rope = config.object("rope_parameters");
  const double alpha = rope ? rope->not_negative_or("alpha", 0.0) : 0.0;
  const bool is_dynamic =
      rope && rope->string_or(rope->first_of({"rope_type", "type"}), "default") == "dynamic";
  if (!is_dynamic || alpha == 0.0) {
    read_single_rope(config, spec);
    return;
  }
  RopeParameters parameters;
  parameters.head_dim = attention_of(spec, 0).head_dim;
  require_even_head_dim(config, parameters.head_dim);
  parameters.n_rotary = parameters.head_dim;
  const double theta = rope->positive_or("rope_theta", config.positive_or("rope_theta", 10000.0));
  const double dims = parameters.head_dim;
  parameters.theta = theta * std::pow(alpha, dims / (dims - 2.0));
  const int index = add_rope(spec, parameters);
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.rope = index; });
}

std::vector<bool> read_window_pattern(const Config& config, int n_layers, int otherwise) {
  std::vector<bool> windowed;
  const base::Json* given = config.find("sliding_window_pattern");
  if (given != nullptr && given->if_string() != nullptr) {
    const std::string& letters = *given->if_string();
    if (letters.empty() || letters.find_first_not_of("LG") != std::string::npos) {
      config.corrupt("sliding_window_pattern", "bad value (expected the letters L and G, got ",
                     letters, ")");
    }
    for (int i = 0; i < n_layers; ++i)
      windowed.push_back(letters[static_cast<std::size_t>(i) % letters.size()] == 'L');
    return windowed;
  }
  const int period = config.int_or("sliding_window_pattern", otherwise, 1, kMaxLayers);
  for (int i = 0; i < n_layers; ++i) windowed.push_back((i + 1) % period != 0);
  return windowed;
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
  set_attention_biases(spec, bias, bias);
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

int read_decoder_start(const Config& config, int otherwise) {
  if (const auto id = config.find_int("decoder_start_token_id", 0, kMaxVocab)) return *id;
  if (otherwise >= 0) return otherwise;
  return config.find_int("bos_token_id", 0, kMaxVocab).value_or(-1);
}

void refuse_unsupported(const Config& config) {
  refuse_layer_config(config);
  refuse_directions(config);
  if (!config.bool_or("is_causal", true))
    config.unsupported("is_causal", "only causal attention is supported");
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

ModuleLayout norms_after_layout() {
  ModuleLayout layout = llama_layout();
  std::erase_if(layout.modules, [](const ModuleName& name) {
    return name.role == role::kMixerNorm || name.role == role::kFfnNorm;
  });
  layout.modules.push_back({role::kMixerPostNorm, "layers.#.post_attention_layernorm"});
  layout.modules.push_back({role::kFfnPostNorm, "layers.#.post_feedforward_layernorm"});
  return layout;
}

MoeFfnSpec read_moe(const Config& config, const ModelSpec& spec, const MoeReading& reading) {
  MoeFfnSpec moe;
  moe.router.n_experts = config.int_or(reading.n_experts_key, reading.n_experts, 1, kMaxExperts);
  moe.router.top_k = config.int_or(reading.top_k_key, reading.top_k, 1, moe.router.n_experts);
  moe.expert = std::get<DenseFfnSpec>(spec.layers[0].ffn);
  moe.expert.bias = false;
  if (!reading.ffn_dim_key.empty()) {
    const int otherwise = reading.ffn_dim > 0 ? reading.ffn_dim : moe.expert.ffn_dim;
    moe.expert.ffn_dim = config.int_or(reading.ffn_dim_key, otherwise, 1, kMaxFfnDim);
  }
  return moe;
}

void read_sigmoid_router(const Config& config, MoeFfnSpec& moe, double scale, int n_groups,
                         int top_groups, bool normalise) {
  device::RouterSpec& router = moe.router;
  moe.router_correction = true;
  router.score = device::RouterSpec::Score::kSigmoid;
  router.group_score = device::RouterSpec::GroupScore::kBestTwo;
  router.normalise = config.bool_or("norm_topk_prob", normalise);
  router.scale = static_cast<float>(config.positive_or("routed_scaling_factor", scale));
  router.n_groups = config.int_or("n_group", n_groups, 1, router.n_experts);
  router.top_groups = config.int_or("topk_group", top_groups, 1, router.n_groups);
  if (router.n_experts % router.n_groups != 0 ||
      router.top_groups * (router.n_experts / router.n_groups) < router.top_k) {
    config.corrupt("n_group", "groups do not fit (", router.n_experts, " experts in ",
                   router.n_groups, " groups, ", router.top_k, " chosen from ", router.top_groups,
                   ")");
  }
}

void place_moe(const Config& config, ModelSpec& spec, const MoeFfnSpec& moe) {
  const int step = config.int_or("decoder_sparse_step", 1, 1, kMaxLayers);
  const std::vector<double> dense =
      config.numbers("mlp_only_layers").value_or(std::vector<double>());
  for (int i = 0; i < spec.n_layers(); ++i) {
    const bool is_dense = std::find(dense.begin(), dense.end(), i) != dense.end();
    if (!is_dense && (i + 1) % step == 0) spec.layers[static_cast<std::size_t>(i)].ffn = moe;
  }
}

void place_deepseek_moe(const Config& config, ModelSpec& spec, MoeFfnSpec moe, int n_shared,
                        int n_dense) {
  n_shared = config.int_or("n_shared_experts", n_shared, 0, kMaxExperts);
  if (n_shared > 0) {
    moe.shared = moe.expert;
    moe.shared->bias = std::get<DenseFfnSpec>(spec.layers[0].ffn).bias;
    moe.shared->ffn_dim = moe.expert.ffn_dim * n_shared;
  }
  n_dense = config.int_or("first_k_dense_replace", n_dense, 0, kMaxLayers);
  for (int i = n_dense; i < spec.n_layers(); ++i)
    spec.layers[static_cast<std::size_t>(i)].ffn = moe;
}

void place_moe_by_type(const Config& config, ModelSpec& spec, MoeFfnSpec moe, int n_shared,
                       int n_dense) {
  if (n_shared > 0) {
    moe.shared = moe.expert;
    moe.shared->bias = std::get<DenseFfnSpec>(spec.layers[0].ffn).bias;
    moe.shared->ffn_dim = moe.expert.ffn_dim * n_shared;
  }
  const auto types = config.strings("mlp_layer_types");
  if (types && types->size() != spec.layers.size()) {
    config.corrupt("mlp_layer_types", "wrong length (expected ", spec.layers.size(), ", got ",
                   types->size(), ")");
  }
  for (int i = 0; i < spec.n_layers(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (types && (*types)[at] != "sparse" && (*types)[at] != "dense") {
      config.unsupported("mlp_layer_types", "unknown type (expected dense or sparse, got ",
                         (*types)[at], ")");
    }
    if (types ? (*types)[at] == "sparse" : i >= n_dense) spec.layers[at].ffn = moe;
  }
}

void add_experts(ModuleLayout& layout) {
  const std::vector<ModuleName> names = {
      {role::kRouter, "layers.#.mlp.gate"},
      {role::kRouterCorrection, "layers.#.mlp.gate.e_score_correction_bias"},
      {role::kExpertGate, "layers.#.mlp.experts.@.gate_proj"},
      {role::kExpertUp, "layers.#.mlp.experts.@.up_proj"},
      {role::kExpertDown, "layers.#.mlp.experts.@.down_proj"},
      {role::kExpertGateUp, "layers.#.mlp.experts.gate_up_proj"},
      {role::kExpertDown, "layers.#.mlp.experts.down_proj"},
  };
  layout.modules.insert(layout.modules.end(), names.begin(), names.end());
}

void add_shared_experts(ModuleLayout& layout) {
  const std::vector<ModuleName> names = {
      {role::kSharedGate, "layers.#.mlp.shared_experts.gate_proj"},
      {role::kSharedUp, "layers.#.mlp.shared_experts.up_proj"},
      {role::kSharedDown, "layers.#.mlp.shared_experts.down_proj"},
  };
  layout.modules.insert(layout.modules.end(), names.begin(), names.end());
}

void add_text_prefixes(ModuleLayout& layout) {
  layout.prefixes = {"model.", "", "language_model.model.", "model.language_model.",
                     "language_model."};
  for (const std::string_view part :
       {"vision_tower.*", "vision_model.*", "multi_modal_projector.*", "model.vision_tower.*",
        "model.vision_model.*", "model.multi_modal_projector.*"}) {
    layout.ignored.push_back(part);
  }
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
