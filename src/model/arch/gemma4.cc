// Gemma 4, the text models: Gemma 3 with larger heads on full layers, normalised values, keys and
// values shared by the last layers, rows of their own that tokens bring for each layer, perhaps a
// mixture beside each FFN, and a factor behind each layer. Vision and audio towers are ignored.
// Sources: transformers models/gemma4, llama.cpp's "gemma4" architecture.

#include <cmath>
#include <string>

#include "model/arch/gemma.h"
#include "model/arch/gguf_members.h"
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

/// What part of the heads of full layers turns: the frequencies of the others are divided by so
/// much that nothing of them is left.
double read_proportion(const format::Checkpoint& checkpoint, int head_dim) {
  constexpr std::string_view kTensor = "rope_freqs.weight";
  if (!gguf::has_tensor(checkpoint, kTensor)) return 1.0;
  const auto n = static_cast<std::size_t>(head_dim / 2);
  const std::vector<float> factors = gguf::read_factors(checkpoint, kTensor, n);
  std::size_t n_turned = 0;
  while (n_turned < n && factors[n_turned] == 1.0F) ++n_turned;
  for (std::size_t i = n_turned; i < n; ++i) {
    if (factors[i] < 1e20F)
      base::fail_at(ErrorCode::kUnsupported, "tensor rope_freqs.weight",
                    "another factor than 1 and 1e30 (got ", factors[i], ")");
  }
  return static_cast<double>(n_turned) / static_cast<double>(n);
}

base::Json make_ropes(const Config& config, const format::Checkpoint& checkpoint, int head_dim) {
  base::Json ropes = base::Json::object();
  ropes["full_attention"]["rope_type"] = "proportional";
  ropes["full_attention"]["partial_rotary_factor"] = read_proportion(checkpoint, head_dim);
  ropes["full_attention"]["rope_theta"] = config.positive_or("rope.freq_base", 1000000.0);
  ropes["sliding_attention"]["rope_type"] = "default";
  ropes["sliding_attention"]["rope_theta"] = config.positive_or("rope.freq_base_swa", 10000.0);
  return ropes;
}

/// Kinds and sizes of layers: windowed ones and full ones.
void read_gguf_layers(const Config& config, gguf::Members& members) {
  const std::vector<int> windowed = members.each_layer("attention.sliding_window_pattern", 0, 1);
  const std::vector<int> kv_heads = members.each_layer("attention.head_count_kv", 1, kMaxHeads);
  const std::vector<int> widths = members.each_layer("feed_forward_length", 1, kMaxFfnDim);
  const std::vector<bool> has_values = members.layers_with_tensor("attn_v.weight");
  const std::vector<bool> has_keys = members.layers_with_tensor("attn_k.weight");
  base::Json types = base::Json::array();
  bool key_is_value = false;
  for (std::size_t i = 0; i < windowed.size(); ++i) {
    types.push_back(windowed[i] != 0 ? "sliding_attention" : "full_attention");
    members.set(windowed[i] != 0 ? "num_key_value_heads" : "num_global_key_value_heads",
                kv_heads[i]);
    key_is_value = key_is_value || (windowed[i] == 0 && has_keys[i] && !has_values[i]);
  }
  const int full_dim = config.require_int("attention.key_length", 2, kMaxHeadDim);
  members.set("layer_types", types)
      .set("global_head_dim", full_dim)
      .set("head_dim", config.int_or("attention.key_length_swa", full_dim, 2, kMaxHeadDim))
      .set("attention_k_eq_v", key_is_value)
      .set("intermediate_size", widths.front())
      .set("use_double_wide_mlp", widths.back() == 2 * widths.front())
      .leave({"attention.sliding_window", "rope.freq_base_swa"});
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.layers_differ();
  read_gguf_layers(config, members);
  const int full_dim = config.require_int("attention.key_length", 2, kMaxHeadDim);
  const tensor::TensorView* own_rows = checkpoint.find("per_layer_token_embd.weight");
  members.copy("attention.sliding_window", "sliding_window")
      .copy("attention.shared_kv_layers", "num_kv_shared_layers")
      .copy("final_logit_softcapping", "final_logit_softcapping")
      .copy("expert_used_count", "top_k_experts")
      .set("rope_parameters", make_ropes(config, checkpoint, full_dim))
      .set("hidden_size_per_layer_input", 0)
      .copy("embedding_length_per_layer_input", "hidden_size_per_layer_input")
      .set("enable_moe_block", config.int_or("expert_count", 0, 0, kMaxExperts) > 0);
  if (own_rows != nullptr) members.set("vocab_size_per_layer_input", own_rows->shape[0]);
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout_with({
      {role::kLayerScale, "blk.#.layer_output_scale.weight"},
      {role::kRouter, "blk.#.ffn_gate_inp"},
      {role::kRouterScale, "blk.#.ffn_gate_inp.scale"},
      {role::kExpertGains, "blk.#.ffn_down_exps.scale"},
      {role::kExpertGateUp, "blk.#.ffn_gate_up_exps"},
      {role::kExpertDown, "blk.#.ffn_down_exps"},
      {role::kExpertNorm, "blk.#.pre_ffw_norm_2"},
      {role::kExpertPostNorm, "blk.#.post_ffw_norm_2"},
      {role::kSharedPostNorm, "blk.#.post_ffw_norm_1"},
      {role::kSharedGate, "blk.#.ffn_gate"},
      {role::kSharedUp, "blk.#.ffn_up"},
      {role::kSharedDown, "blk.#.ffn_down"},
      {role::kLayerInputTable, "per_layer_token_embd"},
      {role::kLayerInputModel, "per_layer_model_proj"},
      {role::kLayerInputNorm, "per_layer_proj_norm"},
      {role::kLayerInputGate, "blk.#.inp_gate"},
      {role::kLayerInputUp, "blk.#.proj"},
      {role::kLayerInputPostNorm, "blk.#.post_norm"},
  });
  // Layers that share keys may have unused ones in the file.
  layout.ignored.insert(layout.ignored.end(),
                        {"blk.#.attn_k.*", "blk.#.attn_v.*", "blk.#.attn_k_norm.*"});
  return layout;
}

}  // namespace

Family gemma4_family() {
  return {"gemma4",     {"gemma4", "gemma4_text"}, {"gemma4"}, from_hf, from_gguf, hf_layout(),
          gguf_layout()};
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
