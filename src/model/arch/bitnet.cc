// BitNet b1.58: llama with a norm before the attention's output and one before the FFN's, and a
// squared ReLU. Weights as linears are: those packed as ternary numbers are refused with their
// quantization_config. Source: transformers models/bitnet.

#include "model/arch/family.h"
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

}  // namespace

Family bitnet_family() { return {"bitnet", {"bitnet"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
