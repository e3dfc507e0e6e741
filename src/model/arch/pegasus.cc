// Pegasus: mBART without a norm of the embedding, and with positions as waves.
// Source: transformers models/pegasus.

#include "model/arch/bart.h"

namespace openllm::model {
namespace {

constexpr BartKind kKind{
    .decoder_start = 0, .norms_before = true, .positions = BartKind::Positions::kWaves};

ModelSpec from_hf(const Config& config) { return read_bart(config, kKind); }

}  // namespace

Family pegasus_family() {
  return {"pegasus", {"pegasus"}, {}, from_hf, nullptr, bart_layout(kKind), {}};
}

}  // namespace openllm::model
