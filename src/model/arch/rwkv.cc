// RWKV-4: time mixing and channel mixing, each with a state of its own; a norm behind the
// embedding. Source: transformers models/rwkv.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

/// transformers halves the stream behind every so many layers, and what later ones add to it.
void rescale(const Config& config, ModelSpec& spec) {
  const int every = config.int_or("rescale_every", 6, -kMaxLayers, kMaxLayers);
  if (every <= 0) return;
  for (int i = 0; i < spec.n_layers(); ++i) {
    LayerSpec& layer = spec.layers[static_cast<std::size_t>(i)];
    layer.residual.scale = std::ldexp(1.0F, -(i / every));
    if ((i + 1) % every == 0) layer.output_factor = 0.5F;
  }
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_mixers_alone(
      config, {.vocab_size = 50277, .hidden_size = 4096, .n_layers = 32, .tied = false});
  spec.norm.kind = device::NormKind::kLayer;
  spec.embedding.has_norm = true;
  spec.final_norm = spec.norm;
  spec.final_norm->eps = 1e-5F;
  TimeMixSpec time_mix;
  time_mix.n_columns = config.int_or("attention_hidden_size", spec.dim, 1, kMaxDim);
  ChannelMixSpec channel_mix;
  channel_mix.ffn_dim =
      config.int_or("intermediate_size", std::int64_t{4} * spec.dim, 1, kMaxFfnDim);
  for (LayerSpec& layer : spec.layers) {
    layer.mixer = time_mix;
    layer.channel_mix = channel_mix;
  }
  rescale(config, spec);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kMixerNorm, "blocks.#.ln1"},
      {role::kCrossNorm, "blocks.#.ln2"},
      {role::kEmbedding, "embeddings"},
      {role::kEmbeddingNorm, "blocks.0.pre_ln"},
      {role::kFinalNorm, "ln_out"},
      {role::kHead, "head", true},
      {role::kTimeMixKeyTaps, "blocks.#.attention.time_mix_key"},
      {role::kTimeMixValueTaps, "blocks.#.attention.time_mix_value"},
      {role::kTimeMixGateTaps, "blocks.#.attention.time_mix_receptance"},
      {role::kTimeMixRates, "blocks.#.attention.time_decay"},
      {role::kTimeMixFirst, "blocks.#.attention.time_first"},
      {role::kTimeMixKey, "blocks.#.attention.key"},
      {role::kTimeMixValue, "blocks.#.attention.value"},
      {role::kTimeMixGate, "blocks.#.attention.receptance"},
      {role::kTimeMixOutput, "blocks.#.attention.output"},
      {role::kChannelMixKeyTaps, "blocks.#.feed_forward.time_mix_key"},
      {role::kChannelMixGateTaps, "blocks.#.feed_forward.time_mix_receptance"},
      {role::kChannelMixKey, "blocks.#.feed_forward.key"},
      {role::kChannelMixGate, "blocks.#.feed_forward.receptance"},
      {role::kChannelMixValue, "blocks.#.feed_forward.value"},
  };
  layout.prefixes = {"rwkv.", ""};
  return layout;
}

}  // namespace

Family rwkv_family() { return {"rwkv", {"rwkv"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
