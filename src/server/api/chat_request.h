#pragma once

#include <string_view>
#include <vector>

#include "openllm/chat.h"
#include "server/api/common_request.h"

namespace openllm::server {

/// A parsed body of /v1/chat/completions.
struct ChatRequest : CommonRequest {
  std::vector<Message> messages{};
};

/// The messages of a body; fails without any.
std::vector<Message> parse_messages(const Fields& body);

/// Throws kInvalidArgument or kUnsupported, with the field. Needs no model.
ChatRequest parse_chat_request(std::string_view body);

}  // namespace openllm::server
