// mT5: T5 1.1 in other sizes, with a head of its own. Source: transformers models/mt5.

#include "model/arch/t5.h"

namespace openllm::model {
namespace {

constexpr T5Kind kKind{.vocab_size = 250112,
                       .d_ff = 1024,
                       .n_layers = 8,
                       .n_heads = 6,
                       .feed_forward = "gated-gelu",
                       .decoder_start = 0,
                       .may_scale_outputs = false};

ModelSpec from_hf(const Config& config) { return read_t5(config, kKind); }

}  // namespace

Family mt5_family() { return {"mt5", {"mt5"}, {}, from_hf, nullptr, t5_layout(kKind), {}}; }

}  // namespace openllm::model
