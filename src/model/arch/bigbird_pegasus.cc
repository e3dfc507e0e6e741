// BigBird-Pegasus: Pegasus with learned positions whose encoder looks at some blocks alone in long
// sources. Exact as long as transformers itself looks at everything: that is its context here,
// unless the file asks for full attention. Source: transformers models/bigbird_pegasus.

#include <algorithm>
#include <string>

#include "model/arch/bart.h"
#include "model/arch/hf.h"

namespace openllm::model {
namespace {

constexpr BartKind kKind{.vocab_size = 96103,
                         .max_positions = 4096,
                         .n_encoder_layers = 16,
                         .n_decoder_layers = 16,
                         .activation = "gelu_new",
                         .scales_embedding = true,
                         .decoder_start = 2,
                         .norms_before = true};

/// The longest source whose attention is full.
int full_positions(const Config& config, int max_positions) {
  const std::string type = config.string_or("attention_type", "block_sparse");
  if (type == "original_full") return max_positions;
  if (type != "block_sparse") {
    config.unsupported("attention_type",
                       "unknown kind (expected original_full or block_sparse, got ", type, ")");
  }
  const int n_random = config.int_or("num_random_blocks", 3, 0, kMaxVocab);
  const int size = config.int_or("block_size", 64, 1, kMaxVocab);
  const std::int64_t n = (5 + 2 * std::int64_t{n_random}) * size;
  return static_cast<int>(std::min<std::int64_t>(n, max_positions));
}

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_bart(config, kKind);
  const bool bias = config.bool_or("use_bias", false);
  const auto set_biases = [bias](StackSpec& stack) {
    for (LayerSpec& layer : stack.layers) {
      auto& attention = std::get<SelfAttentionSpec>(layer.mixer);
      attention.bias = bias;
      attention.output_bias = bias;
      if (layer.cross) layer.cross->bias = bias;
    }
  };
  set_biases(spec);
  if (!spec.encoder) return spec;
  set_biases(*spec.encoder);
  spec.max_positions = full_positions(config, spec.max_positions);
  return spec;
}

ModuleLayout hf_layout() {
  ModuleLayout layout = bart_layout(kKind);
  for (ModuleName& name : layout.encoder_modules) {
    if (name.role == role::kQ) name.pattern = "encoder.layers.#.self_attn.self.query";
    if (name.role == role::kK) name.pattern = "encoder.layers.#.self_attn.self.key";
    if (name.role == role::kV) name.pattern = "encoder.layers.#.self_attn.self.value";
    if (name.role == role::kAttentionOutput) name.pattern = "encoder.layers.#.self_attn.output";
    if (name.role == role::kFinalNorm) name.pattern = "encoder.layernorm_embedding";
  }
  for (ModuleName& name : layout.modules) {
    if (name.role == role::kFinalNorm) name.pattern = "decoder.layernorm_embedding";
  }
  return layout;
}

}  // namespace

Family bigbird_pegasus_family() {
  return {"bigbird_pegasus", {"bigbird_pegasus"}, {}, from_hf, nullptr, hf_layout(), {}};
}

}  // namespace openllm::model
