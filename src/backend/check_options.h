#pragma once

#include "openllm/options.h"

namespace openllm::backend {

/// What the native backend takes of `options`, whatever the model: sizes in their ranges, a KV type
/// and a device that exist. Throws kInvalidArgument naming the option. Made for constructors:
/// nothing is loaded and no thread started.
void check_options(const LoadOptions& options);

}  // namespace openllm::backend
