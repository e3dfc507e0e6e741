// OPT: learned positions from row 2 on, LayerNorm, plain FFNs with ReLU. The one of 350M has its
// norms behind the sums and a narrower table of tokens. Source: transformers models/opt.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50272,
                                                .hidden_size = 768,
                                                .n_layers = 12,
                                                .n_heads = 12,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 3072,
                                                .max_positions = 2048,
                                                .tied = true,
                                                .activation_key = "activation_function",
                                                .activation = "relu",
                                                .names = {.ffn_dim = "ffn_dim"}});
  spec.norm = {};
  spec.norm.kind = device::NormKind::kLayer;
  spec.norm.eps = 1e-5F;
  const bool affine = config.bool_or("layer_norm_elementwise_affine", true);
  spec.norm.has_weight = affine;
  spec.norm.has_bias = affine;
  const bool bias = config.bool_or("enable_bias", true);
  hf::use_plain_ffn(spec, bias);
  hf::set_attention_biases(spec, bias, bias);
  constexpr int kOffset = 2;
  spec.embedding.n_positions = spec.max_positions + kOffset;
  spec.embedding.position_offset = kOffset;
  const int width = config.int_or("word_embed_proj_dim", spec.dim, 1, kMaxDim);
  if (width != spec.dim) {
    spec.embedding.width = width;
    spec.head->width = width;
  }
  const bool norm_before = config.bool_or("do_layer_norm_before", true);
  for (LayerSpec& layer : spec.layers) {
    layer.residual.norm_before = norm_before;
    layer.residual.norm_sum = !norm_before;
  }
  spec.has_final_norm = norm_before && !config.bool_or("_remove_final_layer_norm", false);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embed_tokens"},
      {role::kEmbeddingOutput, "project_in"},
      {role::kPositions, "embed_positions"},
      {role::kFinalNorm, "final_layer_norm"},
      {role::kHeadInput, "project_out"},
      {role::kHead, "lm_head", true},
      {role::kQ, "layers.#.self_attn.q_proj"},
      {role::kK, "layers.#.self_attn.k_proj"},
      {role::kV, "layers.#.self_attn.v_proj"},
      {role::kAttentionOutput, "layers.#.self_attn.out_proj"},
      {role::kMixerNorm, "layers.#.self_attn_layer_norm"},
      {role::kMixerPostNorm, "layers.#.self_attn_layer_norm"},
      {role::kUp, "layers.#.fc1"},
      {role::kDown, "layers.#.fc2"},
      {role::kFfnNorm, "layers.#.final_layer_norm"},
      {role::kFfnPostNorm, "layers.#.final_layer_norm"},
  };
  layout.prefixes = {"model.decoder.", "decoder.", ""};
  return layout;
}

}  // namespace

Family opt_family() { return {"opt", {"opt"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
