#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "openllm/chat.h"

namespace openllm::server {

/// A parsed body of /v1/helpers/messages.
struct HelpersRequest {
  std::string model{};  ///< Empty: the first one of the server.
  std::vector<Message> messages{};
  bool add_generation_prompt = false;  // as OpenLLM's clients have it
};

/// Throws kInvalidArgument, with the field; also for names that it does not know.
HelpersRequest parse_helpers_request(std::string_view body);

}  // namespace openllm::server
