// Apertus: llama with norms on the heads of Q and K and plain FFNs with xIELU, whose parameters are
// in the file. Source: transformers models/apertus.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// What a file without any rope has.
RopeParameters default_rope() {
  RopeParameters rope;
  rope.type = RopeParameters::Type::kLlama3;
  rope.theta = 12000000.0;
  rope.factor = 8.0;
  rope.original_positions = 8192;
  return rope;
}

ModelSpec from_hf(const Config& config) {
  const bool xielu = config.string_or("hidden_act", "xielu") == "xielu";
  ModelSpec spec = hf::read_llama_like(
      config, {.vocab_size = 131072,
               .ffn_dim = 14336,
               .max_positions = 65536,
               .norm_eps = 1e-5,
               .activation_key = xielu ? std::string_view() : std::string_view("hidden_act")});
  if (hf::names_rope(config)) {
    hf::read_single_rope(config, spec, {.theta = 12000000.0});
  } else {
    hf::use_rope(config, spec, default_rope());
  }
  hf::read_attention_bias(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) { attention.qk_norm = QkNorm::kHead; });
  hf::use_plain_ffn(spec, false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.xielu = xielu; });
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  std::erase_if(layout.modules, [](const ModuleName& name) {
    return name.role == role::kMixerNorm || name.role == role::kFfnNorm;
  });
  hf::add_qk_norms(layout);
  layout.modules.push_back({role::kMixerNorm, "layers.#.attention_layernorm"});
  layout.modules.push_back({role::kFfnNorm, "layers.#.feedforward_layernorm"});
  layout.modules.push_back({role::kXielu, "layers.#.mlp.act_fn"});
  return layout;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  return gguf::Members(config, checkpoint).read(from_hf);
}

ModuleLayout gguf_layout() { return gguf::layout_with({{role::kXielu, "xielu"}}, {role::kGate}); }

}  // namespace

Family apertus_family() {
  return {"apertus", {"apertus"}, {"apertus"}, from_hf, from_gguf, hf_layout(), gguf_layout()};
}

}  // namespace openllm::model
