#pragma once

#include <string>
#include <vector>

#include "backend/vllm/keeper.h"
#include "format/model_source.h"
#include "openllm/options.h"

namespace openllm::backend::vllm {

/// Starts `executable serve` for the model on a free port of 127.0.0.1 and waits until it is well.
/// It ends with the returned process object, and when this process ends, however that happens.
/// Throws kUnavailable with the last lines that it wrote when it ends first, kDeadline after
/// VllmOptions::startup_timeout (ten minutes), kCancelled by LoadOptions::stop_token.
LaunchedServer launch(const std::string& executable, const format::ModelSource& source,
                      const LoadOptions& options);

/// Its arguments, without the program's name.
std::vector<std::string> launch_arguments(const format::ModelSource& source,
                                          const LoadOptions& options, int port);

}  // namespace openllm::backend::vllm
