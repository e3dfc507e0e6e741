// mBART: BART with norms before each part and at the end.
// Source: transformers models/mbart.

#include "model/arch/bart.h"

namespace openllm::model {
namespace {

constexpr BartKind kKind{.norms_before = true, .norms_embedding = true, .position_offset = 2};

ModelSpec from_hf(const Config& config) { return read_bart(config, kKind); }

}  // namespace

Family mbart_family() { return {"mbart", {"mbart"}, {}, from_hf, nullptr, bart_layout(kKind), {}}; }

}  // namespace openllm::model
