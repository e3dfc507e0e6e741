#pragma once

#include <string_view>
#include <vector>

#include "base/json.h"
#include "openllm/chat.h"
#include "openllm/options.h"

namespace openllm::chat {

/// The texts of a model's special tokens, as templates write them. Empty: the model has none.
struct SpecialTokens {
  std::string_view bos;
  std::string_view eos;
};

/// The variables of a chat template, as transformers' apply_chat_template sets them: `messages`,
/// `tools`, `documents`, `add_generation_prompt`, `bos_token`, `eos_token`, and what
/// `options.chat_template_json` adds. Throws kInvalidArgument for options that are not the JSON
/// they should be.
base::Json template_context(const std::vector<Message>& messages, const GenerateOptions& options,
                            const SpecialTokens& tokens);

}  // namespace openllm::chat
