#pragma once

#include <string>

#include "openllm/options.h"
#include "server/api/fields.h"

namespace openllm::server {

/// What both kinds of generation requests have.
struct CommonRequest {
  std::string model{};  ///< Empty: the one that is served.
  GenerateOptions options{};
  bool stream = false;
  bool include_usage = false;
  bool return_token_ids = false;            ///< As in vLLM: ids beside the text.
  bool return_tokens_as_token_ids = false;  ///< As in vLLM: logprobs name tokens "token_id:N".
};

/// Reads the sampling fields, `model`, `stream` and the rest that completions and chat share;
/// everything but the prompt, the length and the logprobs. Unknown names are ignored; names of
/// features that we know and lack fail.
CommonRequest parse_common(const Fields& body);

constexpr int kMaxLogprobs = 20;
constexpr std::size_t kMaxStops = 16;

}  // namespace openllm::server
