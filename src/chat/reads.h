#pragma once

#include <string_view>
#include <vector>

#include "jinja/template.h"
#include "openllm/chat.h"
#include "openllm/options.h"

namespace openllm::chat {

/// Throws kUnsupported, naming the option or the member of a message, for what the template would
/// ignore because its text never reads it: `tools_json`, a variable of `chat_template_json`, a
/// further member of a message. What says nothing (null, false, empty) may be there; so may
/// `tool_call_id` and the `name` of a tool's result, which most templates leave to the order of
/// messages. `model` is what errors call the template's owner.
void require_read(const jinja::Template& code, const std::vector<Message>& messages,
                  const GenerateOptions& options, std::string_view model);

}  // namespace openllm::chat
