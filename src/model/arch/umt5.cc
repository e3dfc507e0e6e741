// UMT5: mT5 with a table of position biases in each layer. Source: transformers models/umt5.

#include "model/arch/t5.h"

namespace openllm::model {
namespace {

constexpr T5Kind kKind{.vocab_size = 250112,
                       .d_ff = 1024,
                       .n_layers = 8,
                       .n_heads = 6,
                       .feed_forward = "gated-gelu",
                       .decoder_start = 0,
                       .bias_in_each_layer = true};

ModelSpec from_hf(const Config& config) { return read_t5(config, kKind); }

}  // namespace

Family umt5_family() { return {"umt5", {"umt5"}, {}, from_hf, nullptr, t5_layout(kKind), {}}; }

}  // namespace openllm::model
