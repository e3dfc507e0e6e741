#pragma once

#include <vector>

#include "kv/kv_spec.h"
#include "model/adapters/adapters.h"
#include "model/blocks/model_spec.h"
#include "step/step.h"

namespace openllm::model {

struct StepLimits {
  int max_rows = 0;
  int max_output_rows = 0;  ///< With logits.
  int max_sequences = 0;
  int block_size = 0;
  const std::vector<int>* blocks_per_group = nullptr;
  const std::vector<kv::KvGroupSpec>* groups = nullptr;
  const Adapters* adapters = nullptr;  ///< Those that sequences may name.
  bool whole_sequences = false;        ///< A sequence's rows must come in one step (encoders).
};

/// Devices trust the step: everything they index with is checked here. Throws kInvalidArgument.
void check_step(const step::Step& step, const ModelSpec& spec, const StepLimits& limits);

}  // namespace openllm::model
