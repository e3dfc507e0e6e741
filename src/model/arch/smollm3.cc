// SmolLM3: llama without RoPE on every fourth layer. Source: transformers models/smollm3.

#include "model/arch/family.h"
#include "model/arch/gguf_members.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

/// `no_rope_layers`: 1 for each layer that has a RoPE.
std::vector<bool> read_rope_layers(const Config& config, int n_layers) {
  const int interval = config.int_or("no_rope_layer_interval", 4, 1, kMaxLayers);
  std::vector<bool> has_rope;
  const auto listed = config.numbers("no_rope_layers");
  if (listed && listed->size() != static_cast<std::size_t>(n_layers)) {
    config.corrupt("no_rope_layers", "wrong length (expected ", n_layers, ", got ", listed->size(),
                   ")");
  }
  for (int i = 0; i < n_layers; ++i) {
    has_rope.push_back(listed ? (*listed)[static_cast<std::size_t>(i)] != 0.0
                              : (i + 1) % interval != 0);
  }
  return has_rope;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = hf::read_llama_like(config, {.vocab_size = 128256,
                                                .hidden_size = 2048,
                                                .n_layers = 36,
                                                .n_heads = 16,
                                                .n_kv_heads = 4,
                                                .max_positions = 32768,
                                                .tied = true});
  hf::read_single_rope(config, spec, {.theta = 2000000.0});
  hf::read_attention_bias(config, spec);
  const bool ffn_bias = config.bool_or("mlp_bias", false);
  each_ffn(spec, [&](DenseFfnSpec& ffn) { ffn.bias = ffn_bias; });
  const std::vector<bool> has_rope = read_rope_layers(config, spec.n_layers());
  std::optional<int> window;
  if (config.bool_or("use_sliding_window", false)) window = hf::read_window(config, 0);
  std::vector<bool> windowed;
  for (int i = 0; i < spec.n_layers(); ++i) {
    const bool rope = has_rope[static_cast<std::size_t>(i)];
    if (!rope) attention_of(spec, i).rope = -1;
    windowed.push_back(window.has_value() && !rope);
  }
  if (window) hf::read_layer_types(config, spec, window, windowed);
  return spec;
}

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  gguf::Members members(config, checkpoint);
  return members.read(from_hf, gguf::Members::Heads::kPaired);
}

ModuleLayout gguf_layout() {
  ModuleLayout layout = gguf::layout();
  layout.paired_heads = true;
  return layout;
}

}  // namespace

Family smollm3_family() {
  return {"smollm3", {"smollm3"},        {"smollm3"},  from_hf,
          from_gguf, hf::llama_layout(), gguf_layout()};
}

}  // namespace openllm::model
