#pragma once

#include <string>

#include "base/json.h"
#include "openllm/chat.h"
#include "openllm/options.h"
#include "openllm/outputs.h"

// The API of OpenAI.
namespace openllm::client {

/// The body of a request. Throws kUnsupported for fields that its route does not take (adapters;
/// prompt logprobs of a conversation).
std::string make_body(const Prompt& prompt, const GenerateOptions& options,
                      const std::string& model, bool stream);

/// Adds a whole answer or a chunk to `output`, which is cumulative, or with kDelta holds only the
/// content of this answer. Throws kIo for an answer of another shape than the API's.
void merge_answer(GenerationOutput& output, const base::Json& answer,
                  OutputKind kind = OutputKind::kCumulative);

/// Whether an answer or an event says how many tokens there are, and whether it says nothing else.
bool has_usage(const base::Json& answer) noexcept;
bool has_only_usage(const base::Json& answer) noexcept;
/// Takes the counts of one that says nothing else, and its receipt; what is new in `output` stays
/// so.
void merge_usage(GenerationOutput& output, const base::Json& answer);

}  // namespace openllm::client
