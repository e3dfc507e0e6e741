// LFM2: short convolutions on most layers, attention with norms on Q and K on the others. Source:
// transformers models/lfm2.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "model/arch/family.h"
#include "model/arch/gguf_hybrid.h"
#include "model/arch/hybrid.h"
#include "model/arch/lfm2.h"

namespace openllm::model {
namespace {

int read_ffn_dim(const Config& config) {
  double size =
      config.int_or(config.first_of({"block_ff_dim", "intermediate_size"}), 12288, 1, kMaxFfnDim);
  if (!config.bool_or("block_auto_adjust_ff_dim", true)) return static_cast<int>(size);
  size = std::floor(2.0 * size / 3.0);
  if (config.mentions("block_ffn_dim_multiplier") && !config.has("block_ffn_dim_multiplier"))
    return static_cast<int>(size);
  size = std::floor(config.positive_or("block_ffn_dim_multiplier", 1.0) * size);
  const double unit = config.int_or("block_multiple_of", 256, 1, kMaxFfnDim);
  size = unit * std::ceil(size / unit);
  if (!(size >= 1.0 && size <= static_cast<double>(kMaxFfnDim)))
    config.corrupt("block_ffn_dim_multiplier", "gives an FFN of no size (got ", size, ")");
  return static_cast<int>(size);
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_lfm2(config, {.vocab_size = 65536,
                                      .hidden_size = 2560,
                                      .n_kv_heads = 8,
                                      .ffn_dim = 12288,
                                      .max_positions = 128000,
                                      .rope_theta = 1000000.0,
                                      .tied = true});
  const int ffn_dim = read_ffn_dim(config);
  each_ffn(spec, [&](DenseFfnSpec& ffn) {
    ffn.ffn_dim = ffn_dim;
    ffn.activation = device::Activation::kSilu;
  });
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  read_lfm2_members(members);
  members.set("block_auto_adjust_ff_dim", false);
  return members.read(from_hf);
}

}  // namespace

void read_lfm2_members(gguf::Members& members) {
  const std::vector<bool> attends =
      members.layers_with("attention.head_count_kv", "num_key_value_heads");
  gguf::set_kinds(members, "layer_types", attends, "full_attention", "conv");
  members.copy("attention.layer_norm_rms_epsilon", "norm_eps")
      .copy("shortconv.l_cache", "conv_L_cache")
      .set("conv_bias", members.some_layer_has("shortconv.conv.bias"));
}

ModuleLayout lfm2_gguf_layout() {
  ModuleLayout layout = gguf::layout();
  // Older files call it as transformers does.
  layout.modules.push_back({role::kFinalNorm, "token_embd_norm"});
  hf::add(layout, {{role::kConvInput, "blk.#.shortconv.in_proj"},
                   {role::kConvTaps, "blk.#.shortconv.conv"},
                   {role::kConvOutput, "blk.#.shortconv.out_proj"}});
  return layout;
}

ModelSpec read_lfm2(const Config& config, const hf::Defaults& defaults) {
  ModelSpec spec = hf::read_llama_like(config, defaults);
  spec.norm.eps = static_cast<float>(config.not_negative_or("norm_eps", 1e-5));
  spec.head->tied = config.bool_or("tie_embedding", spec.head->tied);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  hf::read_single_rope(config, spec, {.theta = defaults.rope_theta});
  const std::vector<double> full = config.numbers("full_attn_idxs").value_or(std::vector<double>());
  const bool all_full = !config.has("full_attn_idxs");
  std::vector<bool> is_conv(spec.layers.size());
  for (std::size_t i = 0; i < spec.layers.size(); ++i)
    is_conv[i] =
        !all_full && std::find(full.begin(), full.end(), static_cast<double>(i)) == full.end();
  hf::read_kinds(config, "layer_types", {"conv"}, {"full_attention", "attention"}, is_conv);
  GatedConvSpec conv;
  conv.n_taps = config.int_or("conv_L_cache", 3, 1, hf::kMaxConvTaps);
  conv.bias = config.bool_or("conv_bias", false);
  for (std::size_t i = 0; i < spec.layers.size(); ++i) {
    if (is_conv[i]) spec.layers[i].mixer = conv;
  }
  return spec;
}

ModuleLayout lfm2_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::rename(layout, role::kFinalNorm, "embedding_norm");
  hf::rename(layout, role::kMixerNorm, "layers.#.operator_norm");
  hf::rename(layout, role::kFfnNorm, "layers.#.ffn_norm");
  hf::rename(layout, role::kAttentionOutput, "layers.#.self_attn.out_proj");
  hf::rename(layout, role::kGate, "layers.#.feed_forward.w1");
  hf::rename(layout, role::kUp, "layers.#.feed_forward.w3");
  hf::rename(layout, role::kDown, "layers.#.feed_forward.w2");
  const std::vector<ModuleName> names = {
      {role::kQNorm, "layers.#.self_attn.q_layernorm"},
      {role::kKNorm, "layers.#.self_attn.k_layernorm"},
      {role::kConvInput, "layers.#.conv.in_proj"},
      {role::kConvTaps, "layers.#.conv.conv"},
      {role::kConvOutput, "layers.#.conv.out_proj"},
  };
  layout.modules.insert(layout.modules.end(), names.begin(), names.end());
  return layout;
}

Family lfm2_family() {
  return {"lfm2", {"lfm2"}, {"lfm2"}, from_hf, from_gguf, lfm2_layout(), lfm2_gguf_layout()};
}

}  // namespace openllm::model
