#pragma once

#include <string>

#include "base/json.h"
#include "openllm/chat.h"
#include "openllm/options.h"
#include "openllm/outputs.h"

// The native API: GenerationOutputs in JSON.
namespace openllm::client {

/// The body of a request, with nothing in it but what was set. `patch`: defaults that `options`
/// override. Throws kUnsupported for fields that no server takes.
std::string make_native_body(const Prompt& prompt, const LLMConfig& patch,
                             const GenerateOptions& options, const std::string& model);

/// As `Api::merge`. Events have deltas; the sum of logprobs counts from the beginning.
void merge_native(GenerationOutput& output, const base::Json& answer, OutputKind kind);

}  // namespace openllm::client
