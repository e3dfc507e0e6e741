// Granite: llama with four multipliers. Source: transformers models/granite.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {});
  hf::read_single_rope(config, spec);
  hf::read_attention_bias(config, spec);
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  hf::read_granite_multipliers(config, spec);
  return spec;
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

Family granite_family() {
  return {"granite", {"granite"},        {"granite"},  from_hf,
          from_gguf, hf::llama_layout(), gguf_layout()};
}

}  // namespace openllm::model
