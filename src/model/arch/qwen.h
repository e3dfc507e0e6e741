#pragma once

#include "model/arch/hf.h"

namespace openllm::model {

/// What Qwen 2 and 3 share: sizes with these defaults, one rope, windows from max_window_layers on
/// (use_sliding_window, sliding_window, layer_types).
ModelSpec read_qwen(const Config& config, hf::Defaults defaults = {});

}  // namespace openllm::model
