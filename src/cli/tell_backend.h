#pragma once

#include <openllm/llm.h>

namespace openllm::cli {

/// For --verbose: what runs the model and why, and the defaults of its requests.
void tell_backend(const LLM& llm);

}  // namespace openllm::cli
