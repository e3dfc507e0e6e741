// BioGPT: learned positions from row 2 on, scaled embeddings, LayerNorm, plain FFNs. Source:
// transformers models/biogpt.

#include <cmath>

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 42384,
                                                .hidden_size = 1024,
                                                .n_layers = 24,
                                                .n_heads = 16,
                                                .ignores_head_dim = true,
                                                .ffn_dim = 4096,
                                                .max_positions = 1024,
                                                .tied = true,
                                                .activation = "gelu"});
  spec.norm = {};
  spec.norm.kind = device::NormKind::kLayer;
  spec.norm.eps = 1e-5F;  // whatever layer_norm_eps says
  hf::use_plain_ffn(spec, true);
  hf::set_attention_biases(spec, true, true);
  constexpr int kOffset = 2;
  spec.embedding.n_positions = spec.max_positions + kOffset;
  spec.embedding.position_offset = kOffset;
  if (config.bool_or("scale_embedding", true))
    spec.embedding.scale = static_cast<float>(std::sqrt(static_cast<double>(spec.dim)));
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "embed_tokens"},
      {role::kPositions, "embed_positions"},
      {role::kFinalNorm, "layer_norm"},
      {role::kHead, "output_projection", true},
      {role::kMixerNorm, "layers.#.self_attn_layer_norm"},
      {role::kQ, "layers.#.self_attn.q_proj"},
      {role::kK, "layers.#.self_attn.k_proj"},
      {role::kV, "layers.#.self_attn.v_proj"},
      {role::kAttentionOutput, "layers.#.self_attn.out_proj"},
      {role::kUp, "layers.#.fc1"},
      {role::kDown, "layers.#.fc2"},
      {role::kFfnNorm, "layers.#.final_layer_norm"},
  };
  layout.prefixes = {"biogpt.", ""};
  return layout;
}

}  // namespace

Family biogpt_family() { return {"biogpt", {"biogpt"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
