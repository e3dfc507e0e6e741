// ERNIE 4.5, dense: llama whose RoPE turns neighbours. Source: transformers models/ernie4_5.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 103424,
                                                .hidden_size = 1024,
                                                .n_layers = 18,
                                                .n_heads = 16,
                                                .n_kv_heads = 2,
                                                .head_dim = 128,
                                                .ffn_dim = 3072,
                                                .max_positions = 131072,
                                                .norm_eps = 1e-5,
                                                .tied = true});
  hf::read_single_rope(config, spec, {.theta = 500000.0, .style = device::RopeStyle::kInterleaved});
  const bool bias = config.bool_or("use_bias", false);
  hf::set_attention_biases(spec, bias, bias);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = bias; });
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  return members.read(from_hf);
}

}  // namespace

Family ernie4_5_family() {
  return {"ernie4_5", {"ernie4_5"},       {"ernie4_5"},  from_hf,
          from_gguf,  hf::llama_layout(), gguf::layout()};
}

}  // namespace openllm::model
