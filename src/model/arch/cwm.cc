// CWM: llama with a window on three of four layers. Source: transformers models/cwm.

#include "model/arch/family.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// What a file without any rope has.
RopeParameters default_rope() {
  RopeParameters rope;
  rope.type = RopeParameters::Type::kLlama3;
  rope.theta = 1000000.0;
  rope.factor = 16.0;
  rope.original_positions = 8192;
  return rope;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 128256,
                                                .hidden_size = 6144,
                                                .n_layers = 64,
                                                .n_heads = 48,
                                                .n_kv_heads = 8,
                                                .head_dim = 128,
                                                .ffn_dim = 21504,
                                                .max_positions = 131072,
                                                .norm_eps = 1e-5});
  if (hf::names_rope(config)) {
    hf::read_single_rope(config, spec, {.theta = 1000000.0});
  } else {
    hf::use_rope(config, spec, default_rope());
  }
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back(i % 4 != 0);
  hf::read_layer_types(config, spec, hf::read_window(config, 8192), windowed);
  return spec;
}

}  // namespace

Family cwm_family() { return {"cwm", {"cwm"}, {}, from_hf, nullptr, hf::llama_layout(), {}}; }

}  // namespace openllm::model
