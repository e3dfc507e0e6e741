#pragma once

#include "model/arch/hf.h"

namespace openllm::model {

/// use_sliding_window, sliding_window, max_window_layers and layer_types, as Qwen 2 and 3 read
/// them.
void read_qwen_windows(const Config& config, DecoderSpec& spec);

}  // namespace openllm::model
