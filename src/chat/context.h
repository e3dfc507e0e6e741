#pragma once

#include <vector>

#include "base/json.h"
#include "openllm/chat.h"
#include "openllm/options.h"

namespace openllm::chat {

/// What a request brings to a chat template, as transformers' apply_chat_template passes it on:
/// `messages`, `tools`, `documents`, and what `options.chat_template_json` adds. Throws
/// kInvalidArgument for options that are not the JSON they should be.
base::Json request_context(const std::vector<Message>& messages, const GenerateOptions& options);

/// Adds what does not come from the request: `add_generation_prompt`, and the special tokens
/// ("bos_token", ...) that it did not bring itself.
void add_model_context(base::Json& context, const GenerateOptions& options,
                       const base::Json& special_tokens);

}  // namespace openllm::chat
