// MiniCPM 1, 2, 4 and the mixture of MiniCPM 1: llama with multipliers for embeddings, residuals
// and logits. Source: the published modeling_minicpm.py of MiniCPM-2B, MiniCPM-MoE-8x2B, MiniCPM4.

#include <algorithm>
#include <cmath>

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// MiniCPM 4 looks at some blocks of keys alone, but at all of them up to dense_len.
void limit_length(const Config& config, ModelSpec& spec) {
  const std::optional<Config> sparse = config.object("sparse_config");
  if (!sparse) return;
  spec.max_positions =
      std::min(spec.max_positions, sparse->int_or("dense_len", 8192, 1, kMaxPositions));
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.ignores_head_dim = true, .tied = true});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  limit_length(config, spec);
  spec.embedding.scale = static_cast<float>(config.positive_or("scale_emb", 1.0));
  const double depth = std::sqrt(static_cast<double>(spec.n_layers()));
  const auto scale = static_cast<float>(config.positive_or("scale_depth", 1.0) / depth);
  for (LayerSpec& layer : spec.layers) layer.residual.scale = scale;
  spec.head->scale = static_cast<float>(config.positive_or("dim_model_base", 1.0) / spec.dim);
  if (config.int_or("num_experts", 0, 0, kMaxExperts) == 0) return spec;
  MoeFfnSpec moe = hf::read_moe(config, spec, {.top_k = 2, .ffn_dim_key = {}});
  for (LayerSpec& layer : spec.layers) layer.ffn = moe;
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  const std::vector<ModuleName> own = {
      {role::kRouter, "layers.#.mlp.gate"},
      {role::kExpertGate, "layers.#.mlp.experts.@.w1"},
      {role::kExpertUp, "layers.#.mlp.experts.@.w3"},
      {role::kExpertDown, "layers.#.mlp.experts.@.w2"},
  };
  layout.modules.insert(layout.modules.end(), own.begin(), own.end());
  return layout;
}

/// Files from before 2025 leave the multipliers out, which are those of MiniCPM-2B then.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  const double dim = config.require_int("embedding_length", 1, kMaxDim);
  const double depth = std::sqrt(config.require_int("block_count", 1, kMaxLayers));
  gguf::Members members(config, checkpoint);
  members.set("scale_emb", config.positive_or("embedding_scale", 12.0));
  members.set("scale_depth", config.positive_or("residual_scale", 1.4 / depth) * depth);
  members.set("dim_model_base", dim / config.positive_or("logit_scale", dim / 256.0));
  return members.read(from_hf, gguf::Members::Heads::kPaired);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family minicpm_family() {
  return {"minicpm", {"minicpm"}, {"minicpm"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
