#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace openllm::server {

// Appending JSON text, for answers that are written token by token.

/// Shortest decimal form; infinities and NaN become -9999, as OpenAI writes impossible logprobs.
void append_logprob(std::string& out, float value);
void append_int(std::string& out, std::int64_t value);
void append_ids(std::string& out, const std::vector<std::int32_t>& ids);

/// Token counts of one answer.
struct Usage {
  std::int64_t n_prompt = 0;
  std::int64_t n_completion = 0;
  std::int64_t n_cached = 0;
};
/// {"prompt_tokens":...}
void append_usage(std::string& out, const Usage& usage);

}  // namespace openllm::server
