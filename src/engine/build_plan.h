#pragma once

#include <span>

#include "engine/sequence.h"
#include "engine/step_plan.h"

namespace openllm::engine {

/// Puts the next `n_rows` tokens of each sequence into `plan`, with the block tables they use and
/// the rows whose logits are wanted; sets each sequence's `first_output`. The plan has its KV
/// groups already.
void build_plan(std::span<Sequence* const> batch, StepPlan& plan);

}  // namespace openllm::engine
