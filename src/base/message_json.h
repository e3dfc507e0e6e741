#pragma once

#include <vector>

#include "base/json.h"
#include "openllm/chat.h"

namespace openllm::base {

/// The messages as the JSON array that chat templates and the OpenAI API take: role, content, and
/// the members of `extra_json`, which win. Throws kInvalidArgument for one that is no JSON object.
Json messages_to_json(const std::vector<Message>& messages);

}  // namespace openllm::base
