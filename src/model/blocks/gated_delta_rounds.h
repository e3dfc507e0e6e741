#pragma once

#include "model/weights/module.h"

namespace openllm::model::role {

/// Like kDeltaQkv, of a file whose value heads, here and wherever else they count, come in rounds:
/// one for each key head, then the next one of each. Else those of a key head come in a row.
inline constexpr Role kDeltaRoundsQkv{"delta.rounds_qkv"};
/// All that is computed of a row: q, k, v, gate, beta, step.
inline constexpr Role kDeltaAll{"delta.all"};

}  // namespace openllm::model::role
