// BitNet b1.58: llama with a norm before the attention's output and one before the FFN's, and a
// squared ReLU. Weights as linears are: those packed as ternary numbers are refused with their
// quantization_config. Sources: transformers models/bitnet, llama.cpp's "bitnet" architecture.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 128256,
                                                .hidden_size = 2560,
                                                .n_layers = 30,
                                                .n_heads = 20,
                                                .n_kv_heads = 5,
                                                .ffn_dim = 6912,
                                                .norm_eps = 1e-5,
                                                .activation = "relu2"});
  hf::read_single_rope(config, spec, {.theta = 500000.0});
  hf::read_attention_bias(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.inner_norm = true; });
  each_ffn(spec, [](DenseFfnSpec& ffn) { ffn.inner_norm = true; });
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  layout.modules.push_back({role::kAttentionInnerNorm, "layers.#.self_attn.attn_sub_norm"});
  layout.modules.push_back({role::kFfnInnerNorm, "layers.#.mlp.ffn_sub_norm"});
  return layout;
}

/// GGUF files are of 1bitLLM's models, which have SiLU: so llama.cpp computes them.
ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  members.set("hidden_act", "silu");
  return members.read(from_hf);
}

ModuleLayout gguf_layout() {
  return gguf::layout_with({{role::kAttentionInnerNorm, "blk.#.attn_sub_norm"},
                            {role::kFfnInnerNorm, "blk.#.ffn_sub_norm"}});
}

}  // namespace

Family bitnet_family() {
  return {"bitnet", {"bitnet"}, {"bitnet"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
