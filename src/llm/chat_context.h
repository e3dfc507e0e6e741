#pragma once

#include <vector>

#include "base/json.h"
#include "openllm/chat.h"
#include "openllm/options.h"
#include "tokenizer/tokenizer.h"

namespace openllm::llm {

/// The variables of a chat template, as transformers' apply_chat_template sets them. Throws
/// kInvalidArgument for options that are not the JSON they should be.
base::Json chat_context(const std::vector<Message>& messages, const GenerateOptions& options,
                        const tokenizer::Tokenizer& tokenizer);

}  // namespace openllm::llm
