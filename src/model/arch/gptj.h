#pragma once

#include "model/arch/hf.h"

namespace openllm::model {

/// What GPT-J and CodeGen share: all but the names and the form of Q, K and V.
ModelSpec read_gptj(const Config& config);

}  // namespace openllm::model
