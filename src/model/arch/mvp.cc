// MVP: BART; its prompts of keys and values for tasks are refused. Source: transformers models/mvp.

#include "model/arch/bart.h"

namespace openllm::model {
namespace {

constexpr BartKind kKind{
    .vocab_size = 50267, .decoder_start = 2, .norms_embedding = true, .position_offset = 2};

ModelSpec from_hf(const Config& config) {
  if (config.bool_or("use_prompt", false))
    config.unsupported("use_prompt", "prompts of keys and values are not supported");
  return read_bart(config, kKind);
}

}  // namespace

Family mvp_family() { return {"mvp", {"mvp"}, {}, from_hf, nullptr, bart_layout(kKind), {}}; }

}  // namespace openllm::model
