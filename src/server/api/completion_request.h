#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "openllm/chat.h"
#include "server/api/common_request.h"

namespace openllm::server {

/// A prompt of texts and token ids, as llama.cpp's server takes it: [12, "text", 34].
using PromptParts = std::vector<std::variant<std::string, std::int32_t>>;

/// A parsed body of /v1/completions.
struct CompletionRequest : CommonRequest {
  std::vector<Prompt> prompts{};
  std::map<std::size_t, PromptParts> mixed{};  ///< By index: prompts that are empty as yet.
  bool echo = false;
  bool return_prompt_logprobs = false;  ///< As vLLM gives them, besides what `echo` shows.
};

/// Throws kInvalidArgument or kUnsupported, with the field. Needs no model.
CompletionRequest parse_completion_request(std::string_view body);

/// Once the model's configuration is known too: asks for the prompt's logprobs where they are
/// shown. Throws kUnsupported for options that do not go beside logprobs.
void check_logprobs(CompletionRequest& request);

/// Makes token ids of the mixed prompts. `tokenize` gets a text and whether special tokens are put
/// around it, which they are around a text that begins a prompt.
void join_mixed_prompts(
    CompletionRequest& request,
    const std::function<std::vector<std::int32_t>(const std::string&, bool)>& tokenize);

}  // namespace openllm::server
