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

/// Parses what the server sent. Throws kIo when it is not JSON; the error that the server reports
/// in an answer that came with status 200, or in an event of a stream.
base::Json parse_answer(std::string_view text);

/// Adds a whole answer or a chunk to `output`, which is cumulative, or with kDelta holds only what
/// this answer brings. Throws kIo when it is not what the API promises.
void merge_answer(GenerationOutput& output, const base::Json& answer,
                  OutputKind kind = OutputKind::kCumulative);

/// What an error body means; for bodies that are not OpenAI's, the status and the beginning of the
/// text.
Error make_error(int status, std::string_view body);

/// A server's text, fit to be shown: valid, on one line, and without orders to a terminal.
std::string printable(std::string_view text);

}  // namespace openllm::client
