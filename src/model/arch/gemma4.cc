// Gemma 4, the text models: Gemma 3 with larger heads on full layers, normalised values, keys and
// values shared by the last layers, rows of their own that tokens bring for each layer, perhaps a
// mixture beside each FFN, and a factor behind each layer. Vision and audio towers are ignored.
// Source: transformers models/gemma4.

#include <cmath>
#include <string>

#include "model/arch/gemma.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

struct Sizes {
  int head_dim = 0;
  int n_kv_heads = 0;
};

/// Those of full layers by `per_layer_config`, as transformers writes it: all alike.
Sizes read_layer_config(const Config& config, const Config& layers, const ModelSpec& spec) {
  const SelfAttentionSpec& last = attention_of(spec, spec.n_layers() - 1);
  Sizes sizes{last.head_dim, last.n_kv_heads};
  std::size_t n_full = 0;
  for (int i = 0; i < spec.n_layers(); ++i) {
    if (attention_of(spec, i).window > 0) continue;
    const std::optional<Config> own = layers.object(std::to_string(i));
    if (!own) continue;
    for (const auto& [key, value] : own->members()) {
      if (key != "head_dim" && key != "num_key_value_heads")
        own->unsupported(key, "unknown (expected head_dim and num_key_value_heads)");
    }
    const Sizes here{own->int_or("head_dim", last.head_dim, 2, kMaxHeadDim),
                     own->int_or("num_key_value_heads", last.n_kv_heads, 1, kMaxHeads)};
    if (n_full++ > 0 && (here.head_dim != sizes.head_dim || here.n_kv_heads != sizes.n_kv_heads))
      config.unsupported("per_layer_config", "full layers of different sizes");
    sizes = here;
  }
  std::size_t n_layers_full = 0;
  for (int i = 0; i < spec.n_layers(); ++i) n_layers_full += attention_of(spec, i).window == 0;
  if (layers.members().size() != n_full || n_full != n_layers_full) {
    config.unsupported("per_layer_config", "other layers than the full ones (expected ",
                       n_layers_full, " entries, got ", layers.members().size(), ")");
  }
  return sizes;
}

/// Those of full layers: `per_layer_config`, or the members it is made of.
Sizes read_full_sizes(const Config& config, const ModelSpec& spec, bool key_is_value) {
  if (const std::optional<Config> layers = config.object("per_layer_config"))
    return read_layer_config(config, *layers, spec);
  const SelfAttentionSpec& windowed = attention_of(spec, 0);
  Sizes sizes{config.int_or("global_head_dim", 512, 2, kMaxHeadDim), windowed.n_kv_heads};
  if (key_is_value) {
    sizes.n_kv_heads =
        config.int_or("num_global_key_value_heads", windowed.n_kv_heads, 1, kMaxHeads);
  }
  return sizes;
}

/// The layer whose keys and values layer i looks at: the last of its type that has its own.
int find_keys(const ModelSpec& spec, int i, int n_own) {
  const bool windowed = attention_of(spec, i).window > 0;
  for (int other = n_own - 1; other >= 0; --other) {
    if ((attention_of(spec, other).window > 0) == windowed) return other;
  }
  return -1;
}

void share_keys(const Config& config, ModelSpec& spec) {
  const int n_shared = config.int_or("num_kv_shared_layers", 0, 0, spec.n_layers() - 1);
  const bool wide = config.bool_or("use_double_wide_mlp", false);
  const int n_own = spec.n_layers() - n_shared;
  for (int i = n_own; i < spec.n_layers(); ++i) {
    LayerSpec& layer = spec.layers[static_cast<std::size_t>(i)];
    SelfAttentionSpec& attention = attention_of(spec, i);
    attention.keys_of_layer = find_keys(spec, i, n_own);
    attention.value_is_key = false;
    if (attention.keys_of_layer < 0) {
      config.corrupt("num_kv_shared_layers", "no layer of the type of layer ", i,
                     " has keys of its own");
    }
    if (wide) std::get<DenseFfnSpec>(layer.ffn).ffn_dim *= 2;
  }
}

/// `rope_parameters` by layer type.
void read_ropes(const Config& config, ModelSpec& spec, int full_head_dim) {
  const std::optional<Config> nested = config.object("rope_parameters");
  const auto add = [&](std::string_view type, int head_dim, double theta, double part) {
    RopeContext context;
    context.head_dim = head_dim;
    context.max_positions = spec.max_positions;
    const std::optional<Config> own = nested ? nested->object(type) : std::nullopt;
    RopeParameters parameters = read_rope(own ? &*own : nullptr, theta, context);
    if (!own && part < 1.0) {
      parameters.type = RopeParameters::Type::kProportional;
      parameters.proportion = part;
    }
    return hf::add_rope(spec, parameters);
  };
  const int windowed = add("sliding_attention", attention_of(spec, 0).head_dim, 10000.0, 1.0);
  const int full = add("full_attention", full_head_dim, 1000000.0, 0.25);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.rope = attention.window > 0 ? windowed : full;
  });
}

void read_layer_inputs(const Config& config, ModelSpec& spec) {
  const int width = config.mentions("hidden_size_per_layer_input")
                        ? config.int_or("hidden_size_per_layer_input", 0, 0, kMaxDim)
                        : 256;
  if (width == 0) return;
  LayerInputsSpec inputs;
  inputs.width = width;
  inputs.n_rows = config.int_or("vocab_size_per_layer_input", 262144, 1, kMaxVocab);
  if (inputs.n_rows < spec.vocab_size) {
    config.unsupported("vocab_size_per_layer_input", "fewer rows than tokens (expected ",
                       spec.vocab_size, ", got ", inputs.n_rows, ")");
  }
  inputs.table_scale = static_cast<float>(std::sqrt(static_cast<double>(width)));
  inputs.model_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.dim)));
  inputs.scale = static_cast<float>(1.0 / std::sqrt(2.0));
  spec.layer_inputs = inputs;
  for (LayerSpec& layer : spec.layers)
    layer.own_input = {width, std::get<DenseFfnSpec>(layer.ffn).activation};
}

/// A mixture beside every FFN, whose sum has the FFN's norms around it.
void read_mixtures(const Config& config, ModelSpec& spec) {
  if (!config.bool_or("enable_moe_block", false)) return;
  for (const std::string_view key : {"num_experts", "top_k_experts", "moe_intermediate_size"}) {
    if (!config.has(key)) config.corrupt(key, "missing (expected a size of the mixtures)");
  }
  MoeFfnSpec moe;
  moe.own_norms = true;
  moe.router.n_experts = config.require_int("num_experts", 1, kMaxExperts);
  moe.router.top_k = config.require_int("top_k_experts", 1, moe.router.n_experts);
  const int ffn_dim = config.require_int("moe_intermediate_size", 1, kMaxFfnDim);
  for (LayerSpec& layer : spec.layers) {
    moe.shared = std::get<DenseFfnSpec>(layer.ffn);
    moe.expert = *moe.shared;
    moe.expert.ffn_dim = ffn_dim;
    layer.ffn = moe;
  }
}

void read_layers(const Config& config, ModelSpec& spec, int window) {
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back((i + 1) % 6 != 0);
  hf::read_layer_types(config, spec, hf::read_window(config, window), windowed);
  attention_of(spec, spec.n_layers() - 1).window = 0;
  const bool key_is_value = config.bool_or("attention_k_eq_v", false);
  const Sizes full = read_full_sizes(config, spec, key_is_value);
  hf::require_even_head_dim(config, attention_of(spec, 0).head_dim);
  hf::require_even_head_dim(config, full.head_dim);
  read_ropes(config, spec, full.head_dim);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.scale = 1.0F;
    attention.qk_norm = QkNorm::kHead;
    attention.value_norm = true;
    if (attention.window > 0) return;
    attention.head_dim = full.head_dim;
    attention.n_kv_heads = full.n_kv_heads;
    attention.value_is_key = key_is_value;
    if (attention.n_heads % attention.n_kv_heads != 0) {
      config.corrupt("num_global_key_value_heads", "does not divide num_attention_heads (got ",
                     attention.n_kv_heads, ")");
    }
  });
}

/// `is_unified`: the model of one decoder for all media, whose layers have no rows of their own and
/// no mixtures.
ModelSpec from_text_config(const Config& config, bool is_unified) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 262144,
                                                .hidden_size = 2304,
                                                .n_layers = 30,
                                                .n_heads = 8,
                                                .n_kv_heads = 4,
                                                .head_dim = 256,
                                                .ffn_dim = 9216,
                                                .max_positions = is_unified ? 262144 : 131072,
                                                .tied = true,
                                                .activation_key = "hidden_activation",
                                                .activation = "gelu_pytorch_tanh",
                                                .reads_layer_config = true});
  spec.embedding.scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  for (LayerSpec& layer : spec.layers) {
    layer.residual.norm_after = true;
    layer.output_scale = true;
  }
  hf::read_attention_bias(config, spec);
  read_layers(config, spec, is_unified ? 1024 : 512);
  share_keys(config, spec);
  if (!is_unified) read_layer_inputs(config, spec);
  if (!is_unified) read_mixtures(config, spec);
  spec.head->soft_cap = read_soft_cap(config, "final_logit_softcapping", 0.0);
  return spec;
}

ModelSpec read_wrapped(const Config& config, bool is_unified) {
  const std::optional<Config> text = config.object("text_config");
  ModelSpec spec = from_text_config(text ? *text : config, is_unified);
  if (text) spec.head->tied = config.bool_or("tie_word_embeddings", true);
  return spec;
}

ModelSpec from_hf(const Config& config) { return read_wrapped(config, false); }
ModelSpec from_unified(const Config& config) { return read_wrapped(config, true); }

ModuleLayout hf_layout() {
  ModuleLayout layout = gemma_layout();
  hf::add_qk_norms(layout);
  const std::vector<ModuleName> own = {
      {role::kLayerScale, "layers.#.layer_scalar"},
      {role::kRouter, "layers.#.router.proj"},
      {role::kRouterScale, "layers.#.router.scale"},
      {role::kExpertGains, "layers.#.router.per_expert_scale"},
      {role::kExpertGateUp, "layers.#.experts.gate_up_proj"},
      {role::kExpertDown, "layers.#.experts.down_proj"},
      {role::kExpertNorm, "layers.#.pre_feedforward_layernorm_2"},
      {role::kExpertPostNorm, "layers.#.post_feedforward_layernorm_2"},
      {role::kSharedPostNorm, "layers.#.post_feedforward_layernorm_1"},
      {role::kSharedGate, "layers.#.mlp.gate_proj"},
      {role::kSharedUp, "layers.#.mlp.up_proj"},
      {role::kSharedDown, "layers.#.mlp.down_proj"},
      {role::kLayerInputTable, "embed_tokens_per_layer"},
      {role::kLayerInputModel, "per_layer_model_projection"},
      {role::kLayerInputNorm, "per_layer_projection_norm"},
      {role::kLayerInputGate, "layers.#.per_layer_input_gate"},
      {role::kLayerInputUp, "layers.#.per_layer_projection"},
      {role::kLayerInputPostNorm, "layers.#.post_per_layer_input_norm"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  hf::add_text_prefixes(layout);
  // Layers that share keys may have unused ones in the file.
  layout.ignored.insert(
      layout.ignored.end(),
      {"layers.#.self_attn.k_proj.*", "layers.#.self_attn.v_proj.*", "layers.#.self_attn.k_norm.*",
       "model.audio_tower.*", "model.embed_vision.*", "model.embed_audio.*", "audio_tower.*",
       "embed_vision.*", "embed_audio.*"});
  return layout;
}

}  // namespace

Family gemma4_family() {
  return {"gemma4", {"gemma4", "gemma4_text"}, {}, from_hf, nullptr, hf_layout(), {}};
}

Family gemma4_unified_family() {
  ModuleLayout layout = hf_layout();
  layout.ignored.insert(layout.ignored.end(), {"model.vision_embedder.*", "vision_embedder.*"});
  return {"gemma4_unified",
          {"gemma4_unified", "gemma4_unified_text"},
          {},
          from_unified,
          nullptr,
          layout,
          {}};
}

}  // namespace openllm::model
