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

/// The messages of a body; fails without any. Unknown names in their parts are appended to
/// `ignored`. Further members of messages are for the chat template, which refuses those that it
/// does not read.
std::vector<Message> parse_messages(const Fields& body, fields::UnknownNames& ignored);

/// Throws kInvalidArgument or kUnsupported, with the field. Needs no model.
ChatRequest parse_chat_request(std::string_view body);

}  // namespace openllm::server
