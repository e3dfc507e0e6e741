// Blenderbot Small: BART with positions from row 0 on, which the decoder adds behind its norm of
// the embedding. Source: transformers models/blenderbot_small.

#include "model/arch/bart.h"

namespace openllm::model {
namespace {

constexpr BartKind kKind{.max_positions = 512,
                         .dim = 512,
                         .n_encoder_layers = 8,
                         .n_decoder_layers = 8,
                         .ffn_dim = 2048,
                         .decoder_start = 1,
                         .norms_embedding = true,
                         .norms_decoder_tokens = true};

ModelSpec from_hf(const Config& config) { return read_bart(config, kKind); }

}  // namespace

Family blenderbot_small_family() {
  return {"blenderbot-small", {"blenderbot-small"}, {}, from_hf, nullptr, bart_layout(kKind), {}};
}

}  // namespace openllm::model
