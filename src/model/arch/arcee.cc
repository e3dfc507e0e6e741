// Arcee (AFM): llama with plain FFNs and squared ReLU. Source: transformers models/arcee.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.hidden_size = 2560,
                                                .ffn_dim = 18432,
                                                .max_positions = 4096,
                                                .norm_eps = 1e-5,
                                                .activation = "relu2"});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  hf::use_plain_ffn(spec, config.bool_or("mlp_bias", false));
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  std::erase_if(layout.modules, [](const ModuleName& name) { return name.role == role::kGate; });
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  return members.read(from_hf, gguf::Members::Heads::kPaired);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout_with({}, {role::kGate});
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family arcee_family() {
  return {"arcee", {"arcee"}, {"arcee"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
