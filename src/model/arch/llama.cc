// Llama 1 to 3, everything that is published under that name (SmolLM2, TinyLlama, ...), and the
// text of Emu3. Sources: transformers models/llama, llama.cpp's "llama" architecture (Q and K rows
// permuted so that RoPE turns neighbouring pairs).

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {});
  const bool emu = config.string_or("model_type", "llama") == "emu3_text_model";
  hf::read_single_rope(config, spec, {.theta = emu ? 1000000.0 : 10000.0});
  hf::read_attention_bias(config, spec);
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  return spec;
}

/// Encoders that are made of Llama (llama-embed-nemotron, ...): rows see everything.
ModelSpec bidirectional_from_hf(const Config& config) {
  ModelSpec spec = from_hf(config);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.sees_all = true; });
  if (!hf::is_classifier(config)) spec.head.reset();
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  ModelSpec spec = gguf::read_llama_like(config, checkpoint, device::RopeStyle::kInterleaved);
  // Mistral and Mixtral are written under this name too.
  const int window = gguf::read_window(config, 0);
  each_attention(spec, [&](SelfAttentionSpec& attention) { attention.window = window; });
  gguf::read_mixture(config, spec);
  return spec;
}

/// With the names of Mixtral's experts, which are written as this architecture in GGUF.
ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  layout.modules.push_back({role::kRouter, "layers.#.block_sparse_moe.gate"});
  layout.modules.push_back({role::kExpertGate, "layers.#.block_sparse_moe.experts.@.w1"});
  layout.modules.push_back({role::kExpertUp, "layers.#.block_sparse_moe.experts.@.w3"});
  layout.modules.push_back({role::kExpertDown, "layers.#.block_sparse_moe.experts.@.w2"});
  hf::add_experts(layout);
  return layout;
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  gguf::add_experts(layout);
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family llama_family() {
  return {"llama",      {"llama", "emu3_text_model"}, {"llama"}, from_hf, from_gguf, hf_layout(),
          gguf_layout()};
}

Family llama_bidirec_family() {
  return {"llama_bidirec", {"llama_bidirec"},  {}, bidirectional_from_hf,
          nullptr,         hf::llama_layout(), {}};
}

}  // namespace openllm::model
