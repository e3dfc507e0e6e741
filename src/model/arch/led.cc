// LED: BART whose encoder sees a window to both sides. Rows that see everything (a global attention
// mask) are for those who ask for them and have linears of their own, which are left out. Source:
// transformers models/led.

#include <algorithm>

#include "model/arch/bart.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

constexpr BartKind kKind{.decoder_start = 2, .norms_embedding = true};

/// attention_window: a number for each layer of the encoder, or one for all.
std::vector<int> read_windows(const Config& config, std::size_t n_layers) {
  constexpr std::string_view kKey = "attention_window";
  std::vector<double> sizes(n_layers, 512.0);
  if (const auto given = config.find(kKey); given != nullptr && given->if_array() != nullptr) {
    sizes = *config.numbers(kKey);
  } else if (given != nullptr) {
    sizes.assign(n_layers, config.require_int(kKey, 2, kMaxPositions));
  }
  if (sizes.size() != n_layers)
    config.corrupt(kKey, "wrong length (expected ", n_layers, ", got ", sizes.size(), ")");
  std::vector<int> windows;
  for (const double size : sizes) {
    const bool fits = size >= 2.0 && size <= static_cast<double>(kMaxPositions) &&
                      static_cast<int>(size) % 2 == 0;
    if (!fits) config.corrupt(kKey, "bad number (expected an even one from 2 on, got ", size, ")");
    windows.push_back(static_cast<int>(size) / 2 + 1);  // with the own position
  }
  return windows;
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_bart(config, kKind);
  const int of_encoder = config.int_or("max_encoder_position_embeddings", 16384, 1, kMaxPositions);
  const int of_decoder = config.int_or("max_decoder_position_embeddings", 1024, 1, kMaxPositions);
  spec.embedding.n_positions = of_decoder;
  spec.max_positions = of_decoder;
  if (!spec.encoder) return spec;
  spec.encoder->embedding.n_positions = of_encoder;
  // One limit for both sides.
  spec.max_positions = std::min(of_encoder, of_decoder);
  const std::vector<int> windows = read_windows(config, spec.encoder->layers.size());
  std::size_t layer = 0;
  each_attention(*spec.encoder,
                 [&](SelfAttentionSpec& attention) { attention.window = windows[layer++]; });
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = bart_layout(kKind);
  for (ModuleName& name : layout.encoder_modules) {
    if (name.role == role::kQ)
      name.pattern = "encoder.layers.#.self_attn.longformer_self_attn.query";
    if (name.role == role::kK) name.pattern = "encoder.layers.#.self_attn.longformer_self_attn.key";
    if (name.role == role::kV)
      name.pattern = "encoder.layers.#.self_attn.longformer_self_attn.value";
    if (name.role == role::kAttentionOutput) name.pattern = "encoder.layers.#.self_attn.output";
  }
  layout.prefixes = {"led.", ""};
  for (const std::string_view name :
       {"encoder.layers.#.self_attn.longformer_self_attn.query_global.*",
        "encoder.layers.#.self_attn.longformer_self_attn.key_global.*",
        "encoder.layers.#.self_attn.longformer_self_attn.value_global.*"}) {
    layout.ignored.push_back(name);
  }
  return layout;
}

}  // namespace

Family led_family() { return {"led", {"led"}, {}, from_hf, nullptr, hf_layout(), {}}; }

}  // namespace openllm::model
