// Marian: BART without a norm of the embedding, and with positions as waves. Source: transformers
// models/marian.

#include "model/arch/bart.h"

namespace openllm::model {
namespace {

constexpr BartKind kKind{
    .vocab_size = 58101, .decoder_start = 58100, .positions = BartKind::Positions::kWaves};

ModelSpec from_hf(const Config& config) {
  ModelSpec spec = read_bart(config, kKind);
  if (!config.bool_or("share_encoder_decoder_embeddings", true)) {
    config.unsupported("share_encoder_decoder_embeddings",
                       "tables of their own for encoder and decoder (expected true, got false)");
  }
  const int of_decoder = config.int_or("decoder_vocab_size", spec.vocab_size, 1, kMaxVocab);
  if (of_decoder != spec.vocab_size) {
    config.unsupported("decoder_vocab_size", "differs from vocab_size (expected ", spec.vocab_size,
                       ", got ", of_decoder, ")");
  }
  return spec;
}

}  // namespace

Family marian_family() {
  return {"marian", {"marian"}, {}, from_hf, nullptr, bart_layout(kKind), {}};
}

}  // namespace openllm::model
