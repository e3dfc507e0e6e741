// Falcon H1: attention and a Mamba 2 side by side on every layer, with a factor for almost
// everything. Source: transformers models/falcon_h1.

#include <vector>

#include "model/arch/family.h"
#include "model/arch/gguf_hybrid.h"
#include "model/arch/hybrid.h"

namespace openllm::model {
namespace {

float factor(const Config& config, std::string_view key) {
  return static_cast<float>(config.positive_or(key, 1.0));
}

std::vector<float> factors(const Config& config, std::string_view key, std::size_t n) {
  std::vector<float> result(n, 1.0F);
  const auto given = config.numbers(key);
  if (!given) return result;
  if (given->size() != n)
    config.corrupt(key, "wrong length (expected ", n, ", got ", given->size(), ")");
  for (std::size_t i = 0; i < n; ++i) result[i] = static_cast<float>((*given)[i]);
  return result;
}

Mamba2Spec read_mamba(const Config& config, const ModelSpec& spec) {
  Mamba2Spec mamba = hf::read_mamba2(config, spec, {});
  const std::int64_t width =
      config.mentions("mamba_d_ssm") && !config.has("mamba_d_ssm")
          ? std::int64_t{config.int_or("mamba_expand", 2, 1, 1024)} * spec.dim
          : config.int_or("mamba_d_ssm", 1024, 1, kMaxFfnDim);
  const base::Json* head_dim = config.find("mamba_d_head");
  if (head_dim == nullptr || head_dim->if_string() != nullptr)
    mamba.head_dim = static_cast<int>(width / mamba.n_heads);
  if (mamba.head_dim < 1 || mamba.width() != width) {
    config.corrupt("mamba_d_ssm", "does not fit mamba_n_heads * mamba_d_head (expected ",
                   mamba.width(), ", got ", width, ")");
  }
  mamba.output_bias = config.bool_or("projectors_bias", false);
  mamba.gating =
      !config.bool_or("mamba_rms_norm", false)
          ? Mamba2Spec::Gating::kNone
          : (config.bool_or("mamba_norm_before_gate", true) ? Mamba2Spec::Gating::kAfterNorm
                                                            : Mamba2Spec::Gating::kBeforeNorm);
  const float in = factor(config, "ssm_in_multiplier");
  if (in != 1.0F && mamba.bias)
    config.unsupported("ssm_in_multiplier", "a factor of inputs that have biases");
  mamba.scales = factors(config, "ssm_multipliers", 5);
  for (float& scale : mamba.scales) scale *= in;
  mamba.output_scale = factor(config, "ssm_out_multiplier");
  return mamba;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 128000,
                                                .n_kv_heads = 8,
                                                .ffn_dim = 14336,
                                                .max_positions = 8192,
                                                .norm_eps = 1e-5});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  spec.embedding.scale = factor(config, "embedding_multiplier");
  spec.head->scale = factor(config, "lm_head_multiplier");
  const std::vector<float> ffn_factors = factors(config, "mlp_multipliers", 2);
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) {
    ffn.bias = ffn_bias;
    ffn.gate_scale = ffn_factors[0];
    ffn.output_scale = ffn_factors[1];
  });
  AttentionBesideMamba2Spec both;
  both.attention = attention_of(spec, 0);
  // Factors of the input and of keys pass through linears without biases to the scores and results.
  const float in = factor(config, "attention_in_multiplier");
  const float key = factor(config, "key_multiplier");
  if (both.attention.bias && (in != 1.0F || key != 1.0F))
    config.unsupported("attention_bias", "biases beside factors of inputs and keys");
  both.attention.scale *= in * in * key;
  both.attention_scale = in * factor(config, "attention_out_multiplier");
  both.mamba = read_mamba(config, spec);
  for (LayerSpec& layer : spec.layers) layer.mixer = both;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::rename(layout, role::kFinalNorm, "final_layernorm");
  hf::rename(layout, role::kFfnNorm, "layers.#.pre_ff_layernorm");
  hf::rename(layout, role::kGate, "layers.#.feed_forward.gate_proj");
  hf::rename(layout, role::kUp, "layers.#.feed_forward.up_proj");
  hf::rename(layout, role::kDown, "layers.#.feed_forward.down_proj");
  hf::add_mamba2(layout, false);
  return layout;
}

/// The converter multiplies weights by their factors. Its files have gates before norms.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  gguf::read_mamba2(config, members);
  members.copy("ssm.inner_size", "mamba_d_ssm")
      .set("projectors_bias", members.some_layer_has("ssm_out.bias"))
      .set("mamba_rms_norm", members.some_layer_has("ssm_norm.weight"))
      .set("mamba_norm_before_gate", false);
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_mamba2(layout);
  return layout;
}

}  // namespace

Family falcon_h1_family() {
  return {"falcon_h1", {"falcon_h1"}, {"falcon-h1"}, from_hf,
          from_gguf,   hf_layout(),   gguf_layout()};
}

}  // namespace openllm::model
