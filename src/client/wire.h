#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "openllm/chat.h"
#include "openllm/error.h"
#include "openllm/options.h"
#include "openllm/outputs.h"

namespace openllm::client {

/// The body of a request. Throws kUnsupported for what the OpenAI API cannot carry (token ids,
/// prompt logprobs, adapters).
std::string make_body(const Prompt& prompt, const GenerateOptions& options,
                      const std::string& model, bool stream);

/// Adds a whole answer or a chunk to `output`, which is cumulative. Throws kIo when it is not what
/// the API promises.
void merge_answer(GenerationOutput& output, const base::Json& answer);

/// What an error body means; for bodies that are not OpenAI's, the status and the beginning of the
/// text.
Error make_error(int status, std::string_view body);

}  // namespace openllm::client
