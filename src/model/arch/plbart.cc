// PLBART: BART whose embedding is scaled. Source: transformers models/plbart.

#include "model/arch/bart.h"

namespace openllm::model {
namespace {

constexpr BartKind kKind{.vocab_size = 50005,
                         .dim = 768,
                         .n_encoder_layers = 6,
                         .n_decoder_layers = 6,
                         .n_heads = 12,
                         .ffn_dim = 3072,
                         .scales_embedding = true,
                         .norms_embedding = true,
                         .position_offset = 2};

ModelSpec from_hf(const Config& config) { return read_bart(config, kKind); }

}  // namespace

Family plbart_family() {
  return {"plbart", {"plbart"}, {}, from_hf, nullptr, bart_layout(kKind), {}};
}

}  // namespace openllm::model
