// InternLM 3 and IQuest-Coder: llama with other defaults. Source: transformers models/internlm3,
// iquestcoder.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec read_network(const Config& config, const hf::Defaults& defaults) {
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::read_single_rope(config, spec);
  const bool qkv = config.bool_or(config.first_of({"attention_bias", "qkv_bias"}), false);
  hf::set_attention_biases(spec, qkv, qkv);
  const bool ffn_bias = config.bool_or(config.first_of({"mlp_bias", "bias"}), false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  return spec;
}

ModelSpec from_hf(const Config& config) {
  return read_network(config, {.vocab_size = 128512,
                               .n_layers = 48,
                               .n_kv_heads = 2,
                               .head_dim = 128,
                               .ffn_dim = 10240,
                               .max_positions = 32768});
}

ModelSpec from_iquestcoder(const Config& config) {
  return read_network(config, {.vocab_size = 76800,
                               .hidden_size = 5120,
                               .n_layers = 80,
                               .n_heads = 40,
                               .n_kv_heads = 8,
                               .head_dim = 128,
                               .ffn_dim = 27648,
                               .max_positions = 131072});
}

}  // namespace

Family internlm3_family() {
  return {"internlm3", {"internlm3"}, {}, from_hf, nullptr, hf::llama_layout(), {}};
}

Family iquestcoder_family() {
  return {"iquestcoder", {"iquestcoder"}, {}, from_iquestcoder, nullptr, hf::llama_layout(), {}};
}

}  // namespace openllm::model
