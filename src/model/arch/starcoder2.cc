// StarCoder 2: LayerNorm and plain FFNs in llama's order, biases, perhaps a window. Source:
// transformers models/starcoder2.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 49152,
                                                .hidden_size = 3072,
                                                .n_layers = 30,
                                                .n_heads = 24,
                                                .n_kv_heads = 2,
                                                .ffn_dim = 12288,
                                                .max_positions = 4096,
                                                .tied = true,
                                                .activation = "gelu_pytorch_tanh"});
  hf::use_layer_norm(config, spec, "norm_epsilon", 1e-5);
  const bool bias = config.bool_or("use_bias", true);
  hf::use_plain_ffn(spec, bias);
  hf::set_attention_biases(spec, bias, bias);
  hf::read_single_rope(config, spec);
  if (const std::optional<int> window = config.find_int("sliding_window", 1, kMaxPositions)) {
    each_attention(spec, [&](SelfAttentionSpec& attention) { attention.window = *window; });
  }
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  hf::remove_ffn(layout);
  layout.modules.push_back({role::kUp, "layers.#.mlp.c_fc"});
  layout.modules.push_back({role::kDown, "layers.#.mlp.c_proj"});
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  return members.read(from_hf);
}

}  // namespace

Family starcoder2_family() {
  return {"starcoder2",
          {"starcoder2"},
          {"starcoder2"},
          from_hf,
          from_gguf,
          hf_layout(),
          gguf::layout_with({}, {role::kGate})};
}

}  // namespace openllm::model
