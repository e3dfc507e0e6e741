// nanochat: norms without weights, one of them behind the embedding, RoPE that turns the other way,
// Q and K normalised behind it, plain FFNs with a squared ReLU, capped logits. Source: transformers
// models/nanochat.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 50304,
                                                .hidden_size = 768,
                                                .n_layers = 12,
                                                .n_heads = 6,
                                                .ffn_dim = 8192,
                                                .max_positions = 2048,
                                                .activation = "relu2"});
  hf::read_single_rope(config, spec);
  for (float& frequency : spec.ropes[0].inv_freq) frequency = -frequency;
  if (spec.ropes[0].growth.kind != device::RopeGrowth::Kind::kNone) {
    config.unsupported("rope_parameters",
                       "RoPE that depends on length (expected default, linear, "
                       "llama3 or yarn)");
  }
  spec.norm.has_weight = false;
  spec.embedding.has_norm = true;
  hf::read_attention_bias(config, spec);
  each_attention(spec, [](SelfAttentionSpec& attention) {
    attention.qk_norm = QkNorm::kHead;
    attention.qk_norm_after_rope = true;
  });
  hf::use_plain_ffn(spec, false);
  const double cap = config.mentions("final_logit_softcapping")
                         ? config.find_positive("final_logit_softcapping").value_or(0.0)
                         : 15.0;
  spec.head->soft_cap = static_cast<float>(cap);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = hf::llama_layout();
  std::erase_if(layout.modules, [](const ModuleName& name) {
    return name.role == role::kMixerNorm || name.role == role::kFfnNorm ||
           name.role == role::kFinalNorm;
  });
  hf::remove_ffn(layout);
  layout.modules.push_back({role::kUp, "layers.#.mlp.fc1"});
  layout.modules.push_back({role::kDown, "layers.#.mlp.fc2"});
  return layout;
}

}  // namespace

Family nanochat_family() {
  return {"nanochat", {"nanochat"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
