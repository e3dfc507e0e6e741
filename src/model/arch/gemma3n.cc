// Gemma 3n, the text part: four residual streams (AltUp), low-rank linears beside attention
// (LAuReL), rows of their own that tokens bring for each layer, keys and values shared by the last
// layers, gates of which the first layers keep the largest. Vision and audio towers are ignored.
// Sources: transformers models/gemma3n, llama.cpp's "gemma3n" architecture.

#include <algorithm>
#include <cmath>
#include <string>

#include "model/arch/gemma.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// x with the standard normal distribution's Phi(x) = p.
double normal_quantile(double p) {
  double low = -40.0;
  double high = 40.0;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2.0;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < p ? low : high) = middle;
  }
  return (low + high) / 2.0;
}

void read_sparsity(const Config& config, ModelSpec& spec) {
  const int n_layers = spec.n_layers();
  std::vector<double> shares(static_cast<std::size_t>(n_layers), 0.0);
  if (n_layers > 10) std::fill_n(shares.begin(), 10, 0.95);
  if (const auto given = config.numbers("activation_sparsity_pattern")) shares = *given;
  if (shares.size() != spec.layers.size()) {
    config.corrupt("activation_sparsity_pattern", "wrong length (expected ", n_layers, ", got ",
                   shares.size(), ")");
  }
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] >= 1.0) {
      config.corrupt("activation_sparsity_pattern", "bad share (expected less than 1, got ",
                     shares[i], ")");
    }
    if (shares[i] > 0.0) {
      const auto share = static_cast<double>(static_cast<float>(shares[i]));
      std::get<DenseFfnSpec>(spec.layers[i].ffn).cut_deviations =
          static_cast<float>(normal_quantile(share));
    }
  }
}

/// `intermediate_size` may have a number for each layer.
void read_ffn_dims(const Config& config, ModelSpec& spec) {
  const base::Json* given = config.find("intermediate_size");
  const bool is_list = given != nullptr && given->if_array() != nullptr;
  if (!is_list) {
    const int dim = hf::read_size(config, "intermediate_size", 16384, kMaxFfnDim);
    each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.ffn_dim = dim; });
    return;
  }
  const auto dims = config.numbers("intermediate_size").value();
  if (dims.size() != spec.layers.size()) {
    config.corrupt("intermediate_size", "wrong length (expected ", spec.layers.size(), ", got ",
                   dims.size(), ")");
  }
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (!(dims[i] >= 1.0 && dims[i] <= static_cast<double>(kMaxFfnDim)) ||
        dims[i] != std::floor(dims[i])) {
      config.corrupt("intermediate_size", "bad size (expected 1 to ", kMaxFfnDim, ", got ", dims[i],
                     ")");
    }
    std::get<DenseFfnSpec>(spec.layers[i].ffn).ffn_dim = static_cast<int>(dims[i]);
  }
}

/// `rope_parameters` by layer type, or the older rope_theta, rope_scaling and rope_local_base_freq.
void read_ropes(const Config& config, ModelSpec& spec) {
  RopeContext context;
  context.head_dim = attention_of(spec, 0).head_dim;
  context.max_positions = spec.max_positions;
  const std::optional<Config> nested = config.object("rope_parameters");
  const auto add = [&](std::string_view type, double theta, std::optional<Config> own) {
    if (!own && nested) own = nested->object(type);
    return hf::add_rope(spec, read_rope(own ? &*own : nullptr, theta, context));
  };
  const int full = add("full_attention", config.positive_or("rope_theta", 1000000.0),
                       config.object("rope_scaling"));
  const int windowed =
      add("sliding_attention", config.positive_or("rope_local_base_freq", 10000.0), std::nullopt);
  each_attention(spec, [&](SelfAttentionSpec& attention) {
    attention.rope = attention.window > 0 ? windowed : full;
  });
}

void share_keys(const Config& config, ModelSpec& spec) {
  const int n_shared = config.int_or("num_kv_shared_layers", 15, 0, kMaxLayers);
  if (n_shared >= spec.n_layers()) {
    config.corrupt("num_kv_shared_layers", "too many (expected fewer than ", spec.n_layers(),
                   ", got ", n_shared, ")");
  }
  const int n_own = spec.n_layers() - n_shared;
  for (int i = n_own; i < spec.n_layers(); ++i) {
    SelfAttentionSpec& attention = attention_of(spec, i);
    for (int other = 0; other < n_own; ++other) {
      if ((attention_of(spec, other).window > 0) == (attention.window > 0))
        attention.keys_of_layer = other;
    }
    if (attention.keys_of_layer < 0) {
      config.corrupt("num_kv_shared_layers", "no layer of the type of layer ", i,
                     " has keys of its own");
    }
  }
}

void read_streams(const Config& config, ModelSpec& spec) {
  StreamsSpec streams;
  streams.n = config.int_or("altup_num_inputs", 4, 1, 64);
  streams.active = config.int_or("altup_active_idx", 0, 0, streams.n - 1);
  streams.scales_output = config.bool_or("altup_correct_scale", true);
  streams.laurel_rank = config.int_or("laurel_rank", 64, 1, kMaxDim);
  spec.streams = streams;
  for (LayerSpec& layer : spec.layers) layer.streams = streams;
}

void read_layer_inputs(const Config& config, ModelSpec& spec) {
  LayerInputsSpec inputs;
  inputs.width = config.int_or("hidden_size_per_layer_input", 256, 1, kMaxDim);
  inputs.n_rows = config.int_or("vocab_size_per_layer_input", 262144, 1, kMaxVocab);
  inputs.table_scale = static_cast<float>(std::sqrt(static_cast<double>(inputs.width)));
  inputs.model_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.dim)));
  inputs.scale = static_cast<float>(1.0 / std::sqrt(2.0));
  spec.layer_inputs = inputs;
  for (LayerSpec& layer : spec.layers)
    layer.own_input = {inputs.width, std::get<DenseFfnSpec>(layer.ffn).activation};
}

ModelSpec from_text_config(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 262400,
                                                .hidden_size = 2048,
                                                .n_layers = 35,
                                                .n_heads = 8,
                                                .n_kv_heads = 2,
                                                .head_dim = 256,
                                                .ffn_dim = 16384,
                                                .max_positions = 32768,
                                                .tied = true,
                                                .activation_key = "hidden_activation",
                                                .activation = "gelu_pytorch_tanh",
                                                .reads_ffn_dim = true});
  spec.embedding.scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  for (LayerSpec& layer : spec.layers) layer.residual.norm_after = true;
  read_ffn_dims(config, spec);
  hf::read_attention_bias(config, spec);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back((i + 1) % 5 != 0);
  hf::read_layer_types(config, spec, hf::read_window(config, 512), windowed);
  hf::require_even_head_dim(config, attention_of(spec, 0).head_dim);
  read_ropes(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) {
    attention.scale = 1.0F;
    attention.qk_norm = QkNorm::kHead;
    attention.value_norm = true;
  });
  share_keys(config, spec);
  read_streams(config, spec);
  read_layer_inputs(config, spec);
  read_sparsity(config, spec);
  spec.head->soft_cap = read_soft_cap(config, "final_logit_softcapping", 30.0);
  return spec;
}

ModelSpec from_hf(const Config& config) {
  const std::optional<Config> text = config.object("text_config");
  ModelSpec spec = from_text_config(text ? *text : config);
  if (text) spec.head->tied = config.bool_or("tie_word_embeddings", true);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = gemma_layout();
  hf::add_qk_norms(layout);
  const std::vector<ModuleName> own = {
      {role::kLayerInputTable, "embed_tokens_per_layer"},
      {role::kLayerInputModel, "per_layer_model_projection"},
      {role::kLayerInputNorm, "per_layer_projection_norm"},
      {role::kLayerInputGate, "layers.#.per_layer_input_gate"},
      {role::kLayerInputUp, "layers.#.per_layer_projection"},
      {role::kLayerInputPostNorm, "layers.#.post_per_layer_input_norm"},
      {role::kStreamIn, "altup_projections.@"},
      {role::kStreamOut, "altup_unembed_projections.@"},
      {role::kStreamRouterNorm, "layers.#.altup.router_norm"},
      {role::kStreamRouter, "layers.#.altup.modality_router"},
      {role::kStreamPrediction, "layers.#.altup.prediction_coefs"},
      {role::kStreamCorrection, "layers.#.altup.correction_coefs"},
      {role::kStreamOutputScale, "layers.#.altup.correct_output_scale"},
      {role::kLaurelLeft, "layers.#.laurel.linear_left"},
      {role::kLaurelRight, "layers.#.laurel.linear_right"},
      {role::kLaurelNorm, "layers.#.laurel.post_laurel_norm"},
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

/// Files have the deviations of the gates that are cut, -inf for none, of which config.json has the
/// shares that lie below.
void read_gguf_sparsity(const Config& config, gguf::Members& members) {
  const auto deviations = config.numbers("activation_sparsity_scale");
  members.leave({"activation_sparsity_scale"});
  if (!deviations) return;
  base::Json shares = base::Json::array();
  for (const double deviation : *deviations)
    shares.push_back(0.5 * std::erfc(-deviation / std::sqrt(2.0)));
  members.set("activation_sparsity_pattern", shares);
}

int rows_of(const format::Checkpoint& checkpoint, std::string_view name) {
  const tensor::TensorView* view = checkpoint.find(name);
  if (view == nullptr || view->shape.n_dims() != 2 || view->shape[0] > kMaxVocab) {
    base::fail_at(ErrorCode::kCorruptData, checkpoint.path(), "tensor ", name,
                  ": missing or of another shape (expected a matrix)");
  }
  return static_cast<int>(view->shape[0]);
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  base::Json types = base::Json::array();
  for (const int windowed : members.each_layer("attention.sliding_window_pattern", 0, 1))
    types.push_back(windowed != 0 ? "sliding_attention" : "full_attention");
  read_gguf_sparsity(config, members);
  members.set("layer_types", types)
      .copy("attention.sliding_window", "sliding_window")
      .copy("attention.shared_kv_layers", "num_kv_shared_layers")
      .copy("embedding_length_per_layer_input", "hidden_size_per_layer_input")
      .copy("final_logit_softcapping", "final_logit_softcapping")
      .copy("rope.freq_base_swa", "rope_local_base_freq")
      .copy("altup.num_inputs", "altup_num_inputs")
      .copy("altup.active_idx", "altup_active_idx")
      .set("laurel_rank", rows_of(checkpoint, "blk.0.laurel_l.weight"))
      .set("vocab_size_per_layer_input", rows_of(checkpoint, "per_layer_token_embd.weight"));
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout_with({
      {role::kLayerInputTable, "per_layer_token_embd"},
      {role::kLayerInputModel, "per_layer_model_proj"},
      {role::kLayerInputNorm, "per_layer_proj_norm"},
      {role::kLayerInputGate, "blk.#.inp_gate"},
      {role::kLayerInputUp, "blk.#.proj"},
      {role::kLayerInputPostNorm, "blk.#.post_norm"},
      {role::kStreamIn, "altup_proj"},
      {role::kStreamOut, "altup_unembd_proj"},
      {role::kStreamRouterNorm, "blk.#.altup_router_norm"},
      {role::kStreamRouter, "blk.#.altup_router"},
      {role::kStreamPrediction, "blk.#.altup_predict_coef"},
      {role::kStreamCorrection, "blk.#.altup_correct_coef"},
      {role::kStreamOutputScale, "blk.#.altup_correct_scale.weight"},
      {role::kLaurelLeft, "blk.#.laurel_l"},
      {role::kLaurelRight, "blk.#.laurel_r"},
      {role::kLaurelNorm, "blk.#.laurel_post_norm"},
  });
  // Layers that share keys may have unused ones in the file.
  layout.ignored.insert(layout.ignored.end(),
                        {"blk.#.attn_k.*", "blk.#.attn_v.*", "blk.#.attn_k_norm.*"});
  return layout;
}

}  // namespace

Family gemma3n_family() {
  return {"gemma3n",    {"gemma3n", "gemma3n_text"}, {"gemma3n"}, from_hf, from_gguf, hf_layout(),
          gguf_layout()};
}

}  // namespace openllm::model
