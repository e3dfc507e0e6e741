// Blenderbot: mBART without a norm of the embedding, positions from row 0 on.
// Source: transformers models/blenderbot.

#include "model/arch/bart.h"

namespace openllm::model {
namespace {

constexpr BartKind kKind{.vocab_size = 8008,
                         .max_positions = 128,
                         .dim = 2560,
                         .n_encoder_layers = 2,
                         .n_decoder_layers = 24,
                         .n_heads = 32,
                         .ffn_dim = 10240,
                         .decoder_start = 1,
                         .norms_before = true};

ModelSpec from_hf(const Config& config) { return read_bart(config, kKind); }

}  // namespace

Family blenderbot_family() {
  return {"blenderbot", {"blenderbot"}, {}, from_hf, nullptr, bart_layout(kKind), {}};
}

}  // namespace openllm::model
