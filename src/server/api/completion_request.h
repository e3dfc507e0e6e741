#pragma once

#include <string_view>
#include <vector>

#include "openllm/chat.h"
#include "server/api/common_request.h"

namespace openllm::server {

/// A parsed body of /v1/completions.
struct CompletionRequest : CommonRequest {
  std::vector<Prompt> prompts{};
  bool echo = false;
};

/// Throws kInvalidArgument or kUnsupported, with the field. Needs no model.
CompletionRequest parse_completion_request(std::string_view body);

}  // namespace openllm::server
