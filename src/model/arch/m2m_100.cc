// M2M-100 and NLLB: Pegasus with other waves, from the row behind the padding token on, and no bias
// of the output. Padding tokens within a text, which have no position there, count here.
// Source: transformers models/m2m_100.

#include "model/arch/bart.h"

namespace openllm::model {
namespace {

constexpr BartKind kKind{.vocab_size = 128112,
                         .activation = "relu",
                         .scales_embedding = true,
                         .decoder_start = 2,
                         .norms_before = true,
                         .has_output_bias = false,
                         .positions = BartKind::Positions::kFairseqWaves,
                         .offset_is_pad = true};

ModelSpec from_hf(const Config& config) { return read_bart(config, kKind); }

}  // namespace

Family m2m_100_family() {
  return {"m2m_100", {"m2m_100"}, {}, from_hf, nullptr, bart_layout(kKind), {}};
}

}  // namespace openllm::model
