#pragma once

#include "backend/native.h"
#include "base/machine_speed.h"

namespace openllm::backend {

/// How fast a model should run: of one sequence with a short context.
struct Forecast {
  double decode_tokens_per_s = 0.0;
  double prefill_tokens_per_s = 0.0;  ///< 0 where the CPU's arithmetic was not measured.
};

/// Decoding reads the step's weights from memory, and pays for each layer and for sampling from the
/// vocabulary besides; prompts are bound by arithmetic. The constants were measured: see
/// docs/performance.md.
Forecast forecast(const Footprint& footprint, const base::MachineSpeed& speed);

}  // namespace openllm::backend
