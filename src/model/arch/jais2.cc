// Jais 2: LayerNorm, plain FFNs with squared ReLU, biases everywhere. Source: transformers
// models/jais2.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 150272,
                                                .hidden_size = 3328,
                                                .n_heads = 26,
                                                .ffn_dim = 26624,
                                                .max_positions = 8192,
                                                .activation = "relu2"});
  hf::use_layer_norm(config, spec, "layer_norm_eps", 1e-5);
  hf::read_single_rope(config, spec);
  const bool bias = config.bool_or("attention_bias", true);
  hf::set_attention_biases(spec, bias, bias);
  hf::use_plain_ffn(spec, config.bool_or("mlp_bias", true));
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  std::erase_if(layout.modules, [](const ModuleName& name) { return name.role == role::kGate; });
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  return members.read(from_hf);
}

}  // namespace

Family jais2_family() {
  return {"jais2",
          {"jais2"},
          {"jais2"},
          from_hf,
          from_gguf,
          hf_layout(),
          gguf::layout_with({}, {role::kGate})};
}

}  // namespace openllm::model
