#include "model/arch/qwen.h"

namespace openllm::model {
namespace {

void read_windows(const Config& config, ModelSpec& spec) {
  std::optional<int> window;
  if (config.bool_or("use_sliding_window", false)) window = hf::read_window(config);
  const int first = config.int_or("max_window_layers", 28, 0, kMaxPositions);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) windowed.push_back(window.has_value() && i >= first);
  hf::read_layer_types(config, spec, window, windowed);
}

}  // namespace

ModelSpec read_qwen(const Config& config, hf::Defaults defaults) {
  defaults.vocab_size = 151936;
  defaults.n_kv_heads = 32;
  defaults.ffn_dim = 22016;
  defaults.max_positions = 32768;
  ModelSpec spec = hf::read_llama_like(config, defaults);
  hf::read_single_rope(config, spec);
  read_windows(config, spec);
  return spec;
}

}  // namespace openllm::model
