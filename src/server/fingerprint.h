#pragma once

#include <string>
#include <string_view>

#include "openllm/llm.h"

namespace openllm::server {

/// A short name for a text, equal for equal ones in every process. Not a secret: whoever guesses
/// the text can check the guess.
std::string fingerprint(std::string_view text);
/// OpenAI's `system_fingerprint`: changes with the model, its backend, and the library.
std::string model_fingerprint(const LLM& llm);

}  // namespace openllm::server
