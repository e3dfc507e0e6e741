#pragma once

#include <cstdint>

#include "base/json_writer.h"

namespace openllm::server {

/// Token counts of one answer.
struct Usage {
  std::int64_t n_prompt = 0;
  std::int64_t n_completion = 0;
  std::int64_t n_cached = 0;
};

/// {"prompt_tokens":...} as OpenAI counts.
void write_usage(base::JsonWriter& json, const Usage& usage);

}  // namespace openllm::server
