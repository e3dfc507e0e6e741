#pragma once

#include "model/weights/module.h"

namespace openllm::model::role {

/// Like kDeltaQkv, of a file whose value heads, here and wherever else they count, come in rounds:
/// one for each key head, then the next one of each. Else those of a key head come in a row.
inline constexpr Role kDeltaRoundsQkv{"delta.rounds_qkv"};

}  // namespace openllm::model::role
