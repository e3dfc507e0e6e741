#pragma once

#include <openllm/llm.h>

#include <string>

namespace openllm::cli {

/// A line that names the parts of the model's files that do not run; empty where all do.
std::string describe_left_out(const LLM& llm);
/// For --verbose: what runs the model and why, and the defaults of its requests.
void tell_backend(const LLM& llm);

}  // namespace openllm::cli
