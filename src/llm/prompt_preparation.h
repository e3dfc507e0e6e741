#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "llm/local_model.h"
#include "llm/mailbox.h"
#include "openllm/chat.h"
#include "openllm/options.h"

namespace openllm::llm {

/// How many tokens a request may have.
struct PromptLimits {
  int max_model_len = 0;   ///< Prompt and answer.
  int max_new_tokens = 0;  ///< Of the answer.
  bool truncate = false;   ///< Keep the last tokens of a prompt that is longer.
};

/// Template, tokenizer and truncation: the prompt as it goes to the engine. Throws kInvalidArgument
/// for a prompt that does not fit, unless it may be truncated; kUnsupported when the model has
/// no tokenizer or template for it.
PreparedPrompt prepare_prompt(LocalModel& model, const Prompt& prompt,
                              const GenerateOptions& options, const PromptLimits& limits);

/// Bytes that the time before a request reaches the engine depends on.
std::size_t text_bytes(const Prompt& prompt, const GenerateOptions& options);

}  // namespace openllm::llm
