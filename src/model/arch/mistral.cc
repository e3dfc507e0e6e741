// Mistral 7B and its kin: llama with a sliding window on every layer, never a bias. In GGUF it is
// called llama. Source: transformers models/mistral.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  hf::Defaults defaults;
  defaults.n_kv_heads = 8;
  defaults.ffn_dim = 14336;
  defaults.max_positions = 4096 * 32;
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::read_single_rope(config, spec);
  // `layer_types` is not looked at by this architecture.
  if (const std::optional<int> window = hf::read_window(config)) {
    each_attention(spec, [&](SelfAttentionSpec& attention) { attention.window = *window; });
  }
  return spec;
}

}  // namespace

Family mistral_family() {
  return {"mistral", {"mistral"}, {}, from_hf, nullptr, hf::llama_layout(), {}};
}

}  // namespace openllm::model
