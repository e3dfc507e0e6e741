// InternLM 2 and 2.5: llama whose Q, K and V are one tensor, in which the queries of each head of
// keys come before its keys and values. Source: the published modeling_internlm2.py.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 103168, .ignores_head_dim = true});
  hf::read_single_rope(config, spec);
  const bool bias = config.bool_or("bias", true);
  hf::set_attention_biases(spec, bias, bias);
  each_attention(
      spec, [](SelfAttentionSpec& attention) { attention.fused.n_groups = attention.n_kv_heads; });
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout;
  layout.modules = {
      {role::kEmbedding, "tok_embeddings"},    {role::kFinalNorm, "norm"},
      {role::kHead, "output", true},           {role::kMixerNorm, "layers.#.attention_norm"},
      {role::kQkv, "layers.#.attention.wqkv"}, {role::kAttentionOutput, "layers.#.attention.wo"},
      {role::kFfnNorm, "layers.#.ffn_norm"},   {role::kGate, "layers.#.feed_forward.w1"},
      {role::kUp, "layers.#.feed_forward.w3"}, {role::kDown, "layers.#.feed_forward.w2"},
  };
  layout.prefixes = {"model.", ""};
  layout.ignored = {"layers.#.attention.rotary_emb.inv_freq"};
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  return gguf::Members(config, checkpoint).read(from_hf, gguf::Members::Heads::kPaired);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family internlm2_family() {
  return {"internlm2", {"internlm2"}, {"internlm2"}, from_hf,
          from_gguf,   hf_layout(),   gguf_layout()};
}

}  // namespace openllm::model
