#pragma once

#include <cstdint>

#include "engine/engine.h"
#include "engine/request.h"

namespace openllm::engine {

/// Throws kInvalidArgument naming what makes no sense; returns the options.
const EngineOptions& validated(const EngineOptions& options);

/// Throws kInvalidArgument when the request makes no sense; `max_len` is the longest sequence.
void validate_request(const Request& request, int vocab_size, std::int64_t max_len,
                      std::int64_t max_source_len = 0);

/// What it wants besides tokens. `hidden_size`: as StepRunner's.
void validate_hidden(const Request& r, int hidden_size, bool whole_sequences);

}  // namespace openllm::engine
