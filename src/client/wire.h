#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "openllm/chat.h"
#include "openllm/error.h"
#include "openllm/options.h"
#include "openllm/outputs.h"

namespace openllm::client {

/// The body of a request. Throws kUnsupported for fields that no server takes (prompt logprobs,
/// adapters).
std::string make_body(const Prompt& prompt, const GenerateOptions& options,
                      const std::string& model, bool stream);

/// Parses an answer or an event of the server. Throws kIo when it is not JSON, and the error that
/// the server reports within an answer of status 200 or within an event.
base::Json parse_answer(std::string_view text);

/// Adds a whole answer or a chunk to `output`, which is cumulative, or with kDelta holds only the
/// content of this answer. Throws kIo for an answer of another shape than the API's.
void merge_answer(GenerationOutput& output, const base::Json& answer,
                  OutputKind kind = OutputKind::kCumulative);

/// The error that a body describes; its message is, for bodies of unknown shapes, the status and
/// the beginning of the text.
Error make_error(int status, std::string_view body);

/// A server's text made fit for display: valid UTF-8, one line, no control characters.
std::string printable(std::string_view text);

}  // namespace openllm::client
