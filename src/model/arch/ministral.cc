// Ministral: Mistral with windows on some layers. Source: transformers models/ministral.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

ModelSpec from_hf(const Config& config) {
  ModelSpec spec =
      hf::read_llama_like(config, {.n_kv_heads = 8, .ffn_dim = 14336, .max_positions = 4096 * 32});
  hf::read_single_rope(config, spec);
  const std::optional<int> window = hf::read_window(config);
  const std::vector<bool> windowed(spec.layers.size(), window.has_value());
  hf::read_layer_types(config, spec, window, windowed);
  return spec;
}

}  // namespace

Family ministral_family() {
  return {"ministral", {"ministral"}, {}, from_hf, nullptr, hf::llama_layout(), {}};
}

}  // namespace openllm::model
